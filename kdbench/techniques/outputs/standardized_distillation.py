"""Standardized distillation: soft distillation of logits scaled to mean 0 and deviation 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.protocols import Context
from kdbench.techniques.output_kinds import EVERY_KIND, NO_RANKING, SOFTENED
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class StandardizedDistillation(OutputDistillation):
    """Match the teacher's softened outputs after each example's logits were standardized over the classes.

    loss = kd_weight * T^2 * KL(softmax(z(t) / T) || softmax(z(s) / T)) + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K); z(x) = (x - mean x) / (std x + 1e-7) over the K classes; summed over
    classes, averaged over the B examples. A small student need not reach the size of the teacher's logits.

    Paper: Sun et al. 2024, "Logit Standardization in Knowledge Distillation". T^2 and the unbiased deviation are those
    of the authors' code; the cross-entropy sees the student's logits as they are.
    """

    kinds: ClassVar[frozenset[str]] = EVERY_KIND - NO_RANKING.keys()
    by_kind: ClassVar[Mapping[str, str]] = {**SOFTENED, **NO_RANKING}
    paper: ClassVar[str] = "Sun et al. 2024, Logit Standardization in Knowledge Distillation"
    label: ClassVar[str] = "standardized"

    kd_weight: float = Field(9.0, ge=0)
    """Weight of the divergence, T^2 included; 9 in the authors' CIFAR-100 runs of KD with standardization."""
    ce_weight: float = Field(0.1, ge=0)
    """Weight of the cross-entropy to the labels; 0.1 in the authors' CIFAR-100 runs."""
    temperature: float = Field(2.0, gt=0)
    """T; 2 in the authors' CIFAR-100 runs."""

    def problem(self, model: Any, ctx: Context) -> str | None:
        if any(output.class_count == 2 for output in ctx.task.outputs):
            return (
                "standardized_distillation teaches nothing about two classes: the standardized logits of two classes "
                "are 0.71 and -0.71 whatever the teacher says; use soft_distillation."
            )
        return super().problem(model, ctx)

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.standardized_distillation(student, teacher, self.temperature)
