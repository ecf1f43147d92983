"""Probabilistic knowledge transfer: the student learns which examples the teacher finds near each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch
from kdbench.techniques.feature_distillation import PairDistillation
from kdbench.techniques.output_kinds import ON_EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor, nn


class ProbabilisticTransfer(PairDistillation):
    """Match, for each example, the distribution over the batch of how near the others are, by cosine.

    loss = ce_weight * CE + kd_weight * mean over i, j of t_ij * log((t_ij + eps) / (s_ij + eps))

    s, t (B, B): (cosine of embeddings i and j + 1) / 2, each row divided by its sum; eps = 1e-7. Embeddings are
    (B, D_s) and (B, D_t); sizes need not agree, so nothing is trained beside the student. Taps what the classifier sees
    by default.

    Paper: Passalis and Tefas 2018, "Learning Deep Representations with Probabilistic Knowledge Transfer", section 3.
    There the divergence is summed over all pairs; the mean over B * B, as in the authors' code, is what the published
    weight 30000 belongs to. The term depends on the batch size: a recipe with another one wants another weight.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_EMBEDDINGS
    paper: ClassVar[str] = (
        "Passalis and Tefas 2018, Learning Deep Representations with Probabilistic Knowledge Transfer"
    )
    on_examples: ClassVar[bool] = True
    tap: ClassVar[Literal["embedding"]] = "embedding"

    kd_weight: float = Field(30000.0, ge=0)
    """Weight of the term; 30000 in RepDistiller's CIFAR-100 table."""

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        return F.probabilistic_transfer(student[0], teacher[0])
