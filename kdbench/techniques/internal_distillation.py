"""The base of every distillation of what happens inside networks: its weights, and softened outputs beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Outputs, TaskDescription
from kdbench.techniques.distillation import Distillation

if TYPE_CHECKING:
    from torch import Tensor


class Internal(Distillation):
    """loss = ce_weight * CE(labels) + kd_weight * the method's own terms + soft_weight * soft distillation."""

    needs: ClassVar[frozenset[str]] = frozenset({"teacher_features"})

    ce_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy to the labels."""
    soft_weight: float = Field(0.0, ge=0)
    """Weight of soft distillation on the outputs, beside the method's own term; not multiplied by kd_weight."""
    temperature: float = Field(4.0, gt=0)
    """T of soft distillation; without effect while soft_weight is 0."""

    @model_validator(mode="after")
    def _features_first(self) -> Self:
        if self.soft_weight > 0 and self.kd_weight == 0:
            raise ValueError("soft_weight without kd_weight is mixed_distillation; use that, or raise kd_weight")
        return self

    def weight(self, term: str) -> float:
        return self.soft_weight if term.split()[-1] == "soft" else self.kd_weight

    def softened(self, task: TaskDescription) -> Callable[[Batch, Outputs, Outputs], dict[str, Tensor]]:
        """Soft distillation: (batch, the student's outputs, the teacher's) -> a term an output."""
        from kdbench import functional as F

        measure = partial(F.soft_distillation, temperature=self.temperature)
        return lambda batch, outputs, taught: self.matched("soft", task, batch, outputs, taught, measure)

    @classmethod
    def label(cls) -> str:
        """The term's name in the training log: the name of the technique's module."""
        return cls.__module__.rpartition(".")[2]
