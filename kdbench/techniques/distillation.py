"""The base of every distillation: the weights of its loss and the one call to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Context, Effect, Loss, Outputs, TaskDescription, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn

    Measure = Callable[[Tensor, Tensor], Tensor]
    """Rows of logits (n, K) of student and teacher -> a scalar."""


class Distillation(Technique):
    """A fresh student learns ce_weight * (the loss on the labels) + kd_weight * (the sum of the method's own terms).

    The loss on the labels is the task's own for each output (`kdbench.functional.labels_loss`): cross-entropy where
    there are classes. Methods are written down for one output of classes; `by_kind` says what they do on others, and
    of several outputs each has its term, times its `loss_weight`.

    A method overrides `terms`. A weight of 0 leaves its part out altogether: with `kd_weight: 0` the teacher is
    never asked, and `ce_weight: 1, kd_weight: 0` is `from-scratch` to the bit.
    """

    family: ClassVar[str] = "distillation"
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"teaching"})

    kd_weight: float = Field(1.0, ge=0)
    """Weight of the method's own terms."""
    ce_weight: float = Field(0.0, ge=0)
    """Weight of the cross-entropy to the labels."""
    shuffled: bool = False
    """A control: every example learns from the teacher's outputs for another example of its batch."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> Distillation:
        if self.kd_weight == 0 and self.ce_weight == 0:
            raise ValueError("kd_weight and ce_weight are both 0, so there is nothing to learn; raise one of them")
        return self

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        """The method: (modules to train beside the student and drop, (batch, outputs) -> {name: unweighted term}).

        Hooks that it puts on the student or the teacher are removed when the block ends.
        """
        raise TypeError(f"{type(self).__name__} has no terms()")
        yield

    def weight(self, term: str) -> float:
        """The weight of a term that `terms` gives."""
        return self.kd_weight

    def dealt(self, taught: Tensor) -> Tensor:
        """The teacher's outputs or features (B, ...) as they are, or shifted by one example where `shuffled`.

        Training batches are drawn at random, so a neighbour is another random example in every epoch.
        """
        return taught.roll(1, 0) if self.shuffled else taught

    def matched(
        self, name: str, task: TaskDescription, batch: Batch, student: Outputs, teacher: Outputs, measure: Measure
    ) -> dict[str, Tensor]:
        """One term an output: `measure` on its rows (`kdbench.functional.rows`), named and weighted like its labels'.

        Values and embeddings have no rows; their term is the squared error to the teacher's.
        """
        from kdbench import functional as F

        terms: dict[str, Tensor] = {}
        for output, mine, its in zip(task.outputs, student, teacher, strict=True):
            own, taught, real = F.row_pair(output, mine, its, batch, self.dealt)
            if output.kind in ("values", "embedding"):
                term = F.value_matching(output, own, taught)
            else:
                rows = F.rows(output, own, real)
                term = measure(rows, F.rows(output, taught, real)) if len(rows) else 0.0 * own.sum()
            terms |= F.weighted_term(task, output, name, term)
        return terms

    def fitted_to(self, batch: Batch, ctx: Context, answers: Callable[[Tensor], Tensor]) -> Tensor:
        """Targets for a student that is no network: the teacher's answers and the labels, by their weights.

        answers: logits (B, K) -> classes (B,) or scores (B, K). Where both weights are above 0, the weighted mean of
        the scores (classes as one-hot rows) and of the one-hot labels; where one is, that part alone. The teacher's
        values (B, D) are taken as they are.
        """
        from torch.nn.functional import one_hot

        if self.kd_weight == 0:
            return batch.targets[0]
        of_values = ctx.task.outputs[0].kind == "values"
        taught = self.dealt(ctx.teacher(batch)[0])
        taught = taught if of_values else answers(taught)
        if self.ce_weight == 0:
            return taught
        if of_values:
            return (self.kd_weight * taught + self.ce_weight * batch.targets[0]) / (self.kd_weight + self.ce_weight)
        count = ctx.task.class_count
        scores = one_hot(taught, count).float() if taught.dim() == 1 else taught
        labels = one_hot(batch.targets[0], count).float()
        return (self.kd_weight * scores + self.ce_weight * labels) / (self.kd_weight + self.ce_weight)

    @property
    def one_loss(self) -> bool:
        """Whether the method is one loss from the first epoch to the last, so that a fine-tuning can minimise it."""
        return type(self).apply is Distillation.apply

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        with self.objective(model, ctx) as (extra, loss):
            return ctx.fit(model, loss, extra)

    @contextmanager
    def objective(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        """(modules to train beside the student and drop, the whole weighted loss) while the block runs."""
        if self.kd_weight == 0:
            yield None, self._weighted(None, ctx.task)
            return
        with self.terms(student, ctx) as (extra, terms):
            yield extra, self._weighted(terms, ctx.task)

    def _weighted(self, terms: Loss | None, task: TaskDescription) -> Loss:
        from kdbench import functional as F

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            parts = {}
            if self.ce_weight > 0:
                labels = F.labels_loss(task, batch, outputs)
                parts = {name: self.ce_weight * term for name, term in labels.items()}
            if terms is not None:
                parts |= {name: self.weight(name) * term for name, term in terms(batch, outputs).items()}
            return parts

        return loss
