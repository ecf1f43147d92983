"""The base of every distillation of outputs: the choice of examples to learn from. Knows no formula."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Context, Loss, Outputs
from kdbench.techniques.distillation import Distillation

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
    """

    label: ClassVar[str]
    """The term's name in the training log."""

    samples: Literal["all", "teacher_right", "confident", "unsure"] = "all"
    """Which examples the teacher teaches: all, those it classifies as labelled, or those whose highest
    probability (at T = 1) is at least or is below `confidence`."""
    confidence: float = Field(0.9, gt=0, le=1)
    """Confidence (0-1) that parts sure from unsure answers; without effect for other `samples`."""
    unlabelled: str | None = Field(None, min_length=1)
    """A folder of further images without labels, which the teacher teaches as well."""

    @model_validator(mode="after")
    def _right_needs_labels(self) -> Self:
        if self.unlabelled is not None and self.samples == "teacher_right":
            raise ValueError("samples teacher_right needs labels, which unlabelled images have not; leave one of them")
        return self

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        """The method's term without its weight: a scalar, from both logits (B, K) and labels (B,), None: unknown."""
        raise TypeError(f"{type(self).__name__} has no term()")

    def no_targets(self) -> str | None:
        if self.samples != "all" or self.unlabelled is not None:
            return "'samples' and 'unlabelled' are for networks; leave them out."
        return super().no_targets()

    def unlabelled_folder(self) -> str | None:
        return self.unlabelled

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        more: Iterator[Batch] | None = None

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            nonlocal more
            own = self._of_chosen(outputs[0], ctx.teacher(batch)[0], batch.targets[0])
            if self.unlabelled is None:
                return {self.label: own}
            count = len(batch)
            more = more or ctx.unlabelled(count)
            extra = next(more).part(slice(count))
            further = self._of_chosen(student(*extra.inputs).float(), ctx.teacher(extra)[0], None)
            share = count / (count + len(extra))
            return {self.label: share * own + (1 - share) * further}

        yield None, loss

    def _of_chosen(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        """The term on the chosen examples times their share; where none is chosen, a zero that has a gradient."""
        taught = self.dealt(teacher)
        if self.samples == "all":
            return self.term(student, taught, targets)
        chosen = self._chosen(teacher, targets)
        if not chosen.any():
            return 0.0 * student.sum()
        labels = None if targets is None else targets[chosen]
        return chosen.float().mean() * self.term(student[chosen], taught[chosen], labels)

    def _chosen(self, teacher: Tensor, targets: Tensor | None) -> Tensor:
        """A mask of the examples that `samples` names, bool (B,), by the teacher's own answers."""
        if self.samples == "teacher_right":
            assert targets is not None, "refused beside unlabelled images"
            return teacher.argmax(dim=1) == targets
        confident = teacher.softmax(dim=1).amax(dim=1) >= self.confidence
        return confident if self.samples == "confident" else ~confident
