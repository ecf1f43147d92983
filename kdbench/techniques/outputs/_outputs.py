"""The base of every distillation of outputs: the choice of examples to learn from. Knows no formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, Loss, Output, Outputs, TaskDescription
from kdbench.techniques.distillation import Distillation
from kdbench.techniques.output_kinds import SOFTENED

if TYPE_CHECKING:
    from torch import Tensor, nn


class OutputDistillation(Distillation):
    """loss = ce_weight * CE(labels) + kd_weight * the method's term on the outputs of student and teacher.

    A method says how it computes its term (`term`) and what that is called in the training log (`label`).

    With `samples` the term is that of the chosen examples times their share of the batch: an example counts the same
    whatever its neighbours are, and a batch without any has a term of 0.

    With `unlabelled` each step takes as many images of that folder as its batch has, in random views like the
    training split's, and averages their term with the batch's own by number of examples. They pass through the
    student in training mode and fp32, so its BatchNorm sees them in a batch of their own; the cross-entropy never
    does. The teacher answers for them live. A step so costs about twice the compute.

    With `noise` each step learns as many noisy copies of its own batch in the same way: what a teacher says of inputs
    between those of a small table teaches more than any form of the loss.
    """

    by_kind: ClassVar[Mapping[str, str]] = SOFTENED
    as_a_whole: ClassVar[frozenset[str]] = frozenset({"values", "embedding"})
    """Kinds of output that it does not take row by row."""
    about_labels: ClassVar[bool] = False
    """Whether its term needs labels, so that positions whose label counts nowhere are left out."""
    of_two_classes: ClassVar[str] = ""
    """What is left of the method where an output has two classes, as a sentence for the report; empty: all of it."""
    label: ClassVar[str]
    """The term's name in the training log."""

    samples: Literal["all", "teacher_right", "confident", "unsure", "not_blank"] = "all"
    """Which examples the teacher teaches: all, those it classifies as labelled, or those whose highest
    probability (at T = 1) is at least or is below `confidence`. Where an output has many places (pixels, tokens,
    frames, labels) each is chosen by itself, but a sequence is right as a whole. `not_blank`: of a sequence, the frames
    that the teacher gives a symbol."""
    confidence: float = Field(0.9, gt=0, le=1)
    """Confidence (0-1) that parts sure from unsure answers; without effect for other `samples`."""
    unlabelled: str | None = Field(None, min_length=1)
    """A folder of further images without labels, which the teacher teaches as well."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of the normal noise on a further copy of every example, which the teacher answers for, in
    units of the inputs' own spread; 0: no copies. Ids stay as they are."""

    @model_validator(mode="after")
    def _right_needs_labels(self) -> Self:
        if self.unlabelled is not None and self.samples == "teacher_right":
            raise ValueError("samples teacher_right needs labels, which unlabelled images have not; leave one of them")
        if self.unlabelled is not None and self.noise:
            raise ValueError("further examples are unlabelled images or noisy copies; leave one of them")
        return self

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        """The method's term without its weight: a scalar, from both logits (n, K) and labels (n,), None: unknown."""
        raise TypeError(f"{type(self).__name__} has no term()")

    def rows(self, output: Output, given: Tensor, real: Tensor | None) -> Tensor:
        """The positions of an output that count, as `term` takes them: (n, K)."""
        from kdbench import functional as F

        return F.rows(output, given, real)

    def whole(self, output: Output, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor | None:
        """The method's term on an output that it does not take row by row; None where it does."""
        from kdbench import functional as F

        return F.value_matching(output, student, teacher) if output.kind in self.as_a_whole else None

    def kind_problem(self, kind: str) -> str | None:
        if self.samples == "not_blank" and kind != "sequence":
            return "samples 'not_blank' is about the frames of a sequence; leave it out."
        if self.samples != "all" and kind in self.as_a_whole:
            return f"samples '{self.samples}' chooses among single decisions, and here none is taught; leave it out."
        return super().kind_problem(kind)

    def no_targets(self) -> str | None:
        if self.samples != "all" or self.unlabelled is not None:
            return "'samples' and 'unlabelled' are for networks; leave them out."
        if self.noise:
            return "'noise' is for networks; an estimator has fields of its own for copies with noise."
        return super().no_targets()

    def unlabelled_folder(self) -> str | None:
        return self.unlabelled

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench import functional as F

        if self.noise and all(one.dtype == "int64" for one in ctx.task.inputs if one.stored):
            raise TechniqueError("the task's inputs are ids, which noise cannot be put on; leave `noise` out.")
        further = self._further(ctx)
        if self.of_two_classes and any(output.class_count == 2 for output in ctx.task.outputs):
            ctx.note(self.of_two_classes)

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            own = self._of_batch(ctx.task, batch, outputs, ctx.teacher(batch))
            extra = further(batch)
            if extra is None:
                return own
            answers = F.outputs_of(student(*extra.inputs), student)
            theirs = self._of_batch(ctx.task, extra, answers, ctx.teacher(extra))
            share = len(batch) / (len(batch) + len(extra))
            return {name: share * term + (1 - share) * theirs[name] for name, term in own.items()}

        yield None, loss

    def _further(self, ctx: Context) -> Callable[[Batch], Batch | None]:
        """What each step shows beside its batch: images of a folder, noisy copies, or nothing."""
        images: Iterator[Batch] | None = None

        def further(batch: Batch) -> Batch | None:
            nonlocal images
            if self.noise:
                return batch.noisy(ctx.task.inputs, self.noise)
            if self.unlabelled is None:
                return None
            images = images or ctx.unlabelled(len(batch))
            return next(images).part(slice(len(batch)))

        return further

    def _of_batch(self, task: TaskDescription, batch: Batch, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        """One term an output, named and weighted like its labels'."""
        from kdbench import functional as F

        terms: dict[str, Tensor] = {}
        for number, output in enumerate(task.outputs):
            target = batch.targets[number] if batch.targets else None
            term = self._of_output(output, student[number], teacher[number], target, batch)
            terms |= F.weighted_term(task, output, self.label, term)
        return terms

    def _of_output(
        self, output: Output, student: Tensor, teacher: Tensor, target: Tensor | None, batch: Batch
    ) -> Tensor:
        """The term on the chosen rows times their share; where none is chosen, a zero that has a gradient."""
        from kdbench import functional as F

        needs_label = self.about_labels or self.samples == "teacher_right"
        mine, taught, real = F.row_pair(output, student, teacher, batch, self.dealt, target if needs_label else None)
        whole = self.whole(output, mine, taught, batch)
        if whole is not None:
            return whole
        own, its = self.rows(output, mine, real), self.rows(output, taught, real)
        if target is not None and output.kind == "token_classes":
            target = target[:, : mine.shape[1]]
        labels = None if target is None or output.kind == "sequence" else F.row_labels(output, target, real)
        if self.samples == "all":
            return self.term(own, its, labels) if len(own) else 0.0 * student.sum()
        chosen = self._chosen(output, teacher[:, : mine.shape[1]], real, target, batch)
        if not chosen.any():
            return 0.0 * student.sum()
        labels = None if labels is None else labels[chosen]
        return chosen.float().mean() * self.term(own[chosen], its[chosen], labels)

    def _chosen(
        self, output: Output, teacher: Tensor, real: Tensor | None, target: Tensor | None, batch: Batch
    ) -> Tensor:
        """A mask of the rows that `samples` names, bool (n,), by the teacher's own answers."""
        from kdbench import functional as F

        rows = F.rows(output, teacher, real)
        if self.samples == "not_blank":
            return rows.argmax(dim=1) != output.blank
        if self.samples == "teacher_right":
            assert target is not None, "refused beside unlabelled images"
            if output.kind == "sequence":
                right = F.decodes_to(output, teacher, target, batch)[:, None].expand(teacher.shape[:2])
                return right.flatten() if real is None else right[real]
            return rows.argmax(dim=1) == F.row_labels(output, target, real)
        confident = rows.softmax(dim=1).amax(dim=1) >= self.confidence
        return confident if self.samples == "confident" else ~confident
