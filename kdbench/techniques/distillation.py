"""What every distillation shares: the weights of its loss and the one call to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Context, Effect, Loss, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn


class Distillation(Technique):
    """A fresh student learns ce_weight * CE(labels) + kd_weight * (the sum of the method's own terms).

    A method overrides `terms`. A weight of 0 leaves its part out altogether: with `kd_weight: 0` the teacher is
    never asked, and `ce_weight: 1, kd_weight: 0` is `from-scratch` to the bit.
    """

    family: ClassVar[str] = "distillation"
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"teaching"})

    kd_weight: float = Field(1.0, ge=0)
    """Of the method's own terms."""
    ce_weight: float = Field(0.0, ge=0)
    """Of the cross-entropy to the labels."""
    shuffled: bool = False
    """The control: every example learns from what the teacher says of another one of its batch."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> Distillation:
        if self.kd_weight == 0 and self.ce_weight == 0:
            raise ValueError("kd_weight and ce_weight are both 0, so there is nothing to learn; raise one of them")
        return self

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        """The method itself: (modules to train beside the student and drop, (batch, logits) -> {name: bare term}).

        What it hangs on the student or the teacher (hooks, say) it takes off again on the way out.
        """
        raise TypeError(f"{type(self).__name__} has no terms()")
        yield

    def weight(self, term: str) -> float:
        """What a bare term is multiplied by."""
        return self.kd_weight

    def dealt(self, taught: Tensor) -> Tensor:
        """The teacher's outputs or features (B, ...), each example its own, or its neighbour's where `shuffled`.

        Training batches are drawn at random, so a neighbour is another random example in every epoch.
        """
        return taught.roll(1, 0) if self.shuffled else taught

    def fitted_to(self, batch: Batch, ctx: Context, answers: Callable[[Tensor], Tensor]) -> Tensor:
        """The `targets` of a method: what it makes of the teacher's logits, and the labels, by their weights.

        answers: logits (B, K) -> classes (B,) or scores (B, K). With both weights the weighted mean of its scores
        (classes as one-hot rows) and of the one-hot labels; with one of them that alone.
        """
        import torch.nn.functional as F

        if self.kd_weight == 0:
            return batch.targets
        taught = answers(self.dealt(ctx.teacher(batch)))
        if self.ce_weight == 0:
            return taught
        count = ctx.task.class_count
        scores = F.one_hot(taught, count).float() if taught.dim() == 1 else taught
        labels = F.one_hot(batch.targets, count).float()
        return (self.kd_weight * scores + self.ce_weight * labels) / (self.kd_weight + self.ce_weight)

    @property
    def one_loss(self) -> bool:
        """Whether one loss from the first epoch to the last is all of the method, so that a fine-tuning can take it."""
        return type(self).apply is Distillation.apply

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        with self.objective(model, ctx) as (extra, loss):
            return ctx.fit(model, loss, extra)

    @contextmanager
    def objective(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        """(modules to train beside the student and drop, the whole weighted loss) while the block runs."""
        if self.kd_weight == 0:
            yield None, self._weighted(None)
            return
        with self.terms(student, ctx) as (extra, terms):
            yield extra, self._weighted(terms)

    def _weighted(self, terms: Loss | None) -> Loss:
        import torch.nn.functional as F

        def loss(batch: Batch, logits: Tensor) -> dict[str, Tensor]:
            parts = {}
            if self.ce_weight > 0:
                parts["ce"] = self.ce_weight * F.cross_entropy(logits, batch.targets)
            if terms is not None:
                parts |= {name: self.weight(name) * term for name, term in terms(batch, logits).items()}
            return parts

        return loss
