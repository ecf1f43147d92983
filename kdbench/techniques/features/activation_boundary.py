"""Activation boundaries: the student's neurons learn to be on and off where the teacher's are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import InitialDistillation, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class ActivationBoundary(InitialDistillation):
    """Prepare the student by matching the sign of what goes into the ReLUs; then let it learn from labels.

    first go:  loss = kd_weight * sum over layers l = 1..L of 2^(l - L) * 3 / (1000 * B) * sum over elements of
               max(0, c(f) + margin)^2 where g <= 0, max(0, margin - c(f))^2 where g > 0
    second go: loss = ce_weight * CE(s, labels)

    f, g: what goes into a ReLU in student and teacher, (B, C, H, W) or (B, D), by default the one that ends each
    stage; a layer that the suite names is a ReLU too, and its input is tapped. c: a convolution (a linear layer for
    vectors) and BatchNorm that give the teacher's shape, trained beside the student in the first go and dropped;
    where the shapes are equal there is none.

    Paper: Heo et al. 2019, "Knowledge transfer via distillation of activation boundaries formed by hidden neurons",
    with its alternative loss. The factors of the layers and 3 / 1000 are the authors' code and RepDistiller's; they
    are part of the term, so that the published weight is 1. (RepDistiller's first go runs the student on BatchNorm's
    running statistics, here it is in training mode. And its 30 epochs come on top, where here both goes share the
    recipe's epochs.)
    """

    paper: ClassVar[str] = "Heo et al. 2019, Distillation of Activation Boundaries Formed by Hidden Neurons"
    tap: ClassVar[Literal["preactivations"]] = "preactivations"

    kd_weight: float = Field(1.0, ge=0)
    """Weight of the term in the first epochs; 1 is RepDistiller's (scripts/run_cifar_distill.sh)."""
    margin: float = Field(1.0, gt=0)
    """How far beyond its boundary a neuron must be to count as settled; 1 is the authors'."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from torch import nn

        from kdbench.techniques.features._adapters import Each, regressor

        pairs = zip(student, teacher, strict=True)
        return Each(nn.Identity() if s == t else regressor(s, t, relu=False) for s, t in pairs)

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        assert adapters is not None
        return F.activation_boundary(adapters(student), teacher, self.margin)
