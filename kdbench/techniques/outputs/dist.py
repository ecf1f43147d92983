"""DIST: the student's outputs need to be correlated with the teacher's, not equal to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.techniques.output_kinds import EVERY_KIND, NO_RANKING, SOFTENED
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class Dist(OutputDistillation):
    """Match how the teacher ranks the classes of an example, and the examples of a batch for each class.

    loss = kd_weight * T^2 * (inter_weight * (1 - mean_i r(q_i, p_i)) + intra_weight * (1 - mean_k r(q^k, p^k)))
           + ce_weight * CE(s, labels)

    q, p: softened outputs of student and teacher, (B, K); r: Pearson's correlation, over the K classes of an example
    and over the B examples of a class. The second part depends on the batch: with `samples` it correlates over the
    chosen examples only (a single one has nothing to correlate with, so that part is a constant for it), and
    `unlabelled` images are correlated among themselves.

    Paper: Huang et al. 2022, "Knowledge Distillation from A Stronger Teacher", section 4. T^2 is in the authors' code,
    to which the published weights belong, not in the paper.
    """

    kinds: ClassVar[frozenset[str]] = EVERY_KIND - NO_RANKING.keys()
    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        **NO_RANKING,
        "dense_classes": "at each place; classes are correlated over all places of the batch",
        "token_classes": "at each token, padding left out; classes are correlated over all tokens of the batch",
    }
    of_two_classes: ClassVar[str] = (
        "with two classes the correlation over the classes of an example is always 1 or -1, so of dist the relation "
        "between examples is left."
    )
    paper: ClassVar[str] = "Huang et al. 2022, Knowledge Distillation from A Stronger Teacher (DIST), section 4"
    label: ClassVar[str] = "dist"

    kd_weight: float = Field(2.0, ge=0)
    """Weight of both relations, T^2 included; 2 in the authors' configuration for CIFAR-100."""
    ce_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy to the labels; 1 in the authors' configuration for CIFAR-100."""
    temperature: float = Field(4.0, gt=0)
    """T; 4 in the authors' configuration for CIFAR-100, 1 for ImageNet."""
    inter_weight: float = Field(1.0, ge=0)
    """Weight of the relation between the classes of an example, the paper's beta."""
    intra_weight: float = Field(1.0, ge=0)
    """Weight of the relation between the examples of a class, the paper's gamma."""

    @model_validator(mode="after")
    def _some_relation(self) -> Self:
        if self.inter_weight == 0 and self.intra_weight == 0:
            raise ValueError("inter_weight and intra_weight are both 0; raise one of them")
        return self

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.dist(student, teacher, self.temperature, self.inter_weight, self.intra_weight)
