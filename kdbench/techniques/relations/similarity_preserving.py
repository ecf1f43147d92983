"""Similarity-preserving distillation: examples alike for the teacher shall be alike for the student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch
from kdbench.techniques.feature_distillation import FeatureDistillation
from kdbench.techniques.output_kinds import ON_EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor, nn


class SimilarityPreserving(FeatureDistillation):
    """Match the similarities between the examples of a batch, by the features of the last stage.

    loss = ce_weight * CE + kd_weight * sum over layers of ||N(S S^T) - N(T T^T)||_F^2 / B^2

    S (B, D_s), T (B, D_t): features of student and teacher, flattened; N divides each row by its L2 norm. Shapes need
    not agree, so nothing is trained beside the student. Taps the last stage by default.

    Paper: Tung and Mori 2019, "Similarity-Preserving Knowledge Distillation", section 3.1. There it may be summed over
    several layers; one, the last, is what the published weight 3000 belongs to. The term depends on the batch size: a
    recipe with another one wants another weight.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_EMBEDDINGS
    paper: ClassVar[str] = "Tung and Mori 2019, Similarity-Preserving Knowledge Distillation, section 3.1"
    on_examples: ClassVar[bool] = True
    tap: ClassVar[Literal["last_stage"]] = "last_stage"

    kd_weight: float = Field(3000.0, ge=0)
    """Weight of the term; 3000 in the paper's section 4 and in RepDistiller's CIFAR-100 table."""

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        import torch

        from kdbench import functional as F

        pairs = zip(student, teacher, strict=True)
        return torch.stack([F.similarity_preserving(mine, its) for mine, its in pairs]).sum()
