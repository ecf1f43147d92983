"""Neuron selectivity transfer: the student's channels learn to fire where the teacher's do, as a distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch
from kdbench.techniques.feature_distillation import FeatureDistillation
from kdbench.techniques.output_kinds import ON_MAPS

if TYPE_CHECKING:
    from torch import Tensor, nn


class NeuronSelectivity(FeatureDistillation):
    """Match the channels of each stage as samples of one distribution over places, whatever their number and order.

    loss = ce_weight * CE(s, labels) + kd_weight * sum over stages of (mean k(g, g) + mean k(f, f) - 2 mean k(f, g))

    f, g: feature maps (B, C, H, W) of student and teacher, by default the outputs of all stages; k(a, b) = (a . b)^2
    over pairs of channels of one example, each channel's map flattened to H * W and of norm 1. Of two sizes the
    larger is average-pooled first. This is the squared maximum mean discrepancy under a polynomial kernel.

    Paper: Huang and Wang 2017, "Like what you like: knowledge distill via neuron selectivity transfer", section 4. Of
    its three kernels we have the polynomial one, of degree 2 and offset 0. It writes half of the weight before the
    term; the weight of 50 is RepDistiller's, for the term as it stands here.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_MAPS
    paper: ClassVar[str] = "Huang and Wang 2017, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer"
    tap: ClassVar[Literal["stages"]] = "stages"
    on_maps: ClassVar[bool] = True

    kd_weight: float = Field(50.0, ge=0)
    """Weight of the sum over the stages; 50 is RepDistiller's (scripts/run_cifar_distill.sh)."""

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        return F.neuron_selectivity(student, teacher)
