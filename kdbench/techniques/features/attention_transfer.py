"""Attention transfer: the student learns where the teacher is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch
from kdbench.techniques.feature_distillation import FeatureDistillation
from kdbench.techniques.output_kinds import ON_MAPS

if TYPE_CHECKING:
    from torch import Tensor, nn


class AttentionTransfer(FeatureDistillation):
    """Match, place by place, how active each stage is; channels may differ, so nothing is trained beside the student.

    loss = ce_weight * CE(s, labels) + kd_weight * sum over stages of mean (Q(f) - Q(g))^2

    f, g: feature maps (B, C, H, W) of student and teacher, by default the outputs of all stages; Q: the mean over
    the channels of the squares, flattened to H * W and of norm 1. The mean is over B * H * W. Of two sizes the larger
    is average-pooled first.

    Paper: Zagoruyko and Komodakis 2017, "Paying more attention to attention", section 3.1. Equation 2 there has
    half the norm of the difference, where we have its square over B * H * W, as in the authors' code and in
    RepDistiller; the weight of 1000 belongs to that.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_MAPS
    paper: ClassVar[str] = "Zagoruyko and Komodakis 2017, Paying More Attention to Attention, section 3.1"
    tap: ClassVar[Literal["stages"]] = "stages"
    on_maps: ClassVar[bool] = True

    kd_weight: float = Field(1000.0, ge=0)
    """Weight of the sum over the stages; 1000 is RepDistiller's (scripts/run_cifar_distill.sh)."""

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        return F.attention_transfer(student, teacher)
