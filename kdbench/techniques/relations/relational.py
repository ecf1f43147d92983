"""Relational distillation: the student learns the distances and angles between the teacher's embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import Batch
from kdbench.techniques.feature_distillation import PairDistillation
from kdbench.techniques.output_kinds import ON_EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor, nn


class Relational(PairDistillation):
    """Match the geometry of a batch: distances of pairs and angles of triplets of embeddings.

    loss = ce_weight * CE + kd_weight * (distance_weight * D + angle_weight * A)

    D: Huber loss between the (B, B) Euclidean distances of student and teacher, each divided by its mean positive one.
    A: Huber loss between the (B, B, B) cosines of the angles that three embeddings span. Embeddings are (B, D_s) and
    (B, D_t); sizes need not agree, so nothing is trained beside the student. Taps what the classifier sees by default.

    A takes O(B^3 D) time and O(B^3) memory: 64 examples are nothing, 1024 are 4 GB a copy; `angle_weight: 0` leaves it
    out. Paper: Park et al. 2019, "Relational Knowledge Distillation", section 3.2. For metric learning the paper leaves
    the labels out (`ce_weight: 0`) and normalises the student's embedding in some settings; we never do.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_EMBEDDINGS
    paper: ClassVar[str] = "Park et al. 2019, Relational Knowledge Distillation, section 3.2"
    on_examples: ClassVar[bool] = True
    tap: ClassVar[Literal["embedding"]] = "embedding"

    distance_weight: float = Field(25.0, ge=0)
    """Weight of the distances; 25 in RepDistiller's CIFAR-100 table."""
    angle_weight: float = Field(50.0, ge=0)
    """Weight of the angles; 50 in RepDistiller's CIFAR-100 table: twice that of the distances, as in the paper."""

    @model_validator(mode="after")
    def _something_to_match(self) -> Self:
        if self.distance_weight == 0 and self.angle_weight == 0:
            raise ValueError("distance_weight and angle_weight are both 0, so there is nothing to match; raise one")
        return self

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        parts = ((self.distance_weight, F.relational_distance), (self.angle_weight, F.relational_angle))
        terms = [weight * relation(student[0], teacher[0]) for weight, relation in parts if weight > 0]
        return terms[0] + terms[1] if len(terms) == 2 else terms[0]
