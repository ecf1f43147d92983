"""What every distillation shares: the weights of its loss and the one call to the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Context, Loss, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn


class Distillation(Technique):
    """A fresh student learns ce_weight * CE(labels) + kd_weight * (the sum of the method's own terms).

    A method overrides `terms`. A weight of 0 leaves its part out altogether: with `kd_weight: 0` the teacher is
    never asked, and `ce_weight: 1, kd_weight: 0` is `from-scratch` to the bit.
    """

    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    kd_weight: float = Field(1.0, ge=0)
    """Of the method's own terms."""
    ce_weight: float = Field(0.0, ge=0)
    """Of the cross-entropy to the labels."""

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

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        if self.kd_weight == 0:
            return ctx.fit(model, self._weighted(None))
        with self.terms(model, ctx) as (extra, terms):
            return ctx.fit(model, self._weighted(terms), extra)

    def _weighted(self, terms: Loss | None) -> Loss:
        import torch.nn.functional as F

        def loss(batch: Batch, logits: Tensor) -> dict[str, Tensor]:
            parts = {}
            if self.ce_weight > 0:
                parts["ce"] = self.ce_weight * F.cross_entropy(logits, batch.targets)
            if terms is not None:
                parts |= {name: self.kd_weight * term for name, term in terms(batch, logits).items()}
            return parts

        return loss
