"""Flow of the solution procedure: the student learns how the teacher gets from one layer to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import InitialDistillation, Shape
from kdbench.techniques.output_kinds import ON_MAPS

if TYPE_CHECKING:
    from torch import Tensor, nn


class FlowOfSolution(InitialDistillation):
    """Prepare the student by matching the products of neighbouring layers; then let it learn from labels.

    first go:  loss = kd_weight * sum over pairs of layers of mean (G(s) - G(t))^2
    second go: loss = ce_weight * CE(s, labels)

    G of a pair of maps (B, C1, H, W), (B, C2, H', W') is (B, C1, C2): the mean over places of the product of channel
    i of the first and channel j of the second; the larger map is average-pooled. The mean is over B * C1 * C2. By
    default the layers are the stem, where the architecture names one, and all stages, each paired with the next.
    There is no adapter: student and teacher must have equal channels, layer by layer, or it is refused.

    Paper: Yim et al. 2017, "A gift from knowledge distillation", section 3. It sums over C1 * C2 and max-pools; mean
    and average are RepDistiller's, which names a weight of 50. (RepDistiller's first go leaves its weight out and runs
    the student on BatchNorm's running statistics; here the weight counts and the student is in training mode. And its
    30 epochs come on top, where here both goes share the recipe's epochs.)
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_MAPS
    paper: ClassVar[str] = "Yim et al. 2017, A Gift from Knowledge Distillation, section 3"
    tap: ClassVar[Literal["stem_and_stages"]] = "stem_and_stages"
    on_maps: ClassVar[bool] = True

    kd_weight: float = Field(50.0, ge=0)
    """Weight of the term in the first epochs; 50 is RepDistiller's (scripts/run_cifar_distill.sh)."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> None:
        own, taught = ([shape[0] for shape in shapes] for shapes in (student, teacher))
        if own != taught:
            raise TechniqueError(
                f"flow_of_solution needs equal channels layer by layer, but the student's layers have {own} and the "
                f"teacher's {taught}; tap others, or choose a method with an adapter (fitnet)."
            )
        if len(own) < 2:
            raise TechniqueError("flow_of_solution compares pairs of layers; tap two or more, in order.")

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        return F.flow_of_solution(list(pairwise(student)), list(pairwise(teacher)))
