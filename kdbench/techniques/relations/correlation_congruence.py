"""Correlation congruence, as the field's tables have it, and as its paper has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import PairDistillation, Shape
from kdbench.techniques.output_kinds import ON_EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor, nn


class CorrelationCongruence(PairDistillation):
    """Match linear embeddings of student and teacher, or how they correlate within a batch.

    loss = ce_weight * CE + kd_weight * L(e_s, e_t), e_s and e_t (B, embedding_size): linear maps of both embeddings

    `kernel` says which L. "neighbours": mean over i < B of sum_d |delta_id| * |delta_(i+1)d| with delta = e_s - e_t,
    which is RepDistiller's loss and what the published weight and accuracies belong to, therefore the default; it is
    not the paper's. "gaussian" and "bilinear": the paper's ||K(e_s) - K(e_t)||_F^2 / B^2 with K the (B, B) correlations
    (formulas: `kdbench.functional.correlation_congruence`); choose another kd_weight with them.

    Taps what the classifier sees by default. As published, both maps are trained and then dropped, the teacher's too:
    they lower the term by shrinking both embeddings to 0 or to one point, without the student learning anything, so a
    falling term is no proof of a transfer. `trains_teacher_embedding: false` keeps the teacher's map as it was drawn.

    Paper: Peng et al. 2019, "Correlation Congruence for Knowledge Distillation", section 3. There batches are drawn so
    that classes repeat in them, and soft distillation is part of the loss (here: `soft_weight`).
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_EMBEDDINGS
    paper: ClassVar[str] = "Peng et al. 2019, Correlation Congruence for Knowledge Distillation, section 3"
    on_examples: ClassVar[bool] = True
    tap: ClassVar[Literal["embedding"]] = "embedding"

    kd_weight: float = Field(0.02, ge=0)
    """Weight of the term; 0.02 in RepDistiller's CIFAR-100 table, for kernel "neighbours"."""
    kernel: Literal["neighbours", "bilinear", "gaussian"] = "neighbours"
    """Which of the losses described above."""
    embedding_size: int = Field(128, gt=0)
    """Number of dimensions of the linear embeddings."""
    trains_teacher_embedding: bool = True
    """Whether the teacher's linear map learns as well."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from kdbench.techniques.relations._embeddings import Embeddings

        embeddings = Embeddings(student[0], teacher[0], self.embedding_size)
        embeddings.teacher.requires_grad_(self.trains_teacher_embedding)
        return embeddings

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        assert adapters is not None
        mine, its = adapters(student[0], teacher[0])
        return F.correlation_congruence(mine, its, self.kernel)
