"""Standardized distillation: soft distillation of logits scaled to mean 0 and deviation 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

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

    paper: ClassVar[str] = "Sun et al. 2024, Logit Standardization in Knowledge Distillation"
    label: ClassVar[str] = "standardized"

    kd_weight: float = Field(9.0, ge=0)
    """Weight of the divergence, T^2 included; 9 in the authors' CIFAR-100 runs of KD with standardization."""
    ce_weight: float = Field(0.1, ge=0)
    """Weight of the cross-entropy to the labels; 0.1 in the authors' CIFAR-100 runs."""
    temperature: float = Field(2.0, gt=0)
    """T; 2 in the authors' CIFAR-100 runs."""

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.standardized_distillation(student, teacher, self.temperature)
