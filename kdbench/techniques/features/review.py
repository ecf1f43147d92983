"""Knowledge review: deeper stages of the student help its earlier ones to match the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, Layers
from kdbench.techniques.feature_distillation import FeatureDistillation, Shape
from kdbench.techniques.output_kinds import ON_MAPS

if TYPE_CHECKING:
    from torch import Tensor, nn


class Review(FeatureDistillation):
    """Match each stage of the teacher by a fusion of the student's same and deeper stages.

    loss = ce_weight * CE + kd_weight * sum over stages of HCL(fused student map, teacher map)

    Maps are (B, C_l, H_l, W_l); the last one is the embedding, as a map of 1x1. Fusion (ABF) goes from the deepest
    stage up: a 1x1 convolution brings a map to common channels, two attention maps mix it with what the deeper stage
    passed on, a 3x3 convolution brings it to the teacher's channels; in between it takes the teacher's size. The common
    channels are those of the student's deepest tapped layer, at most 512. HCL: mean squared error of the maps and of
    their averages over grids of 4, 2 and 1, weighted 1, 1/2, 1/4, 1/8 (`kdbench.functional.review`). The fusion is
    trained and dropped; it may well have more parameters than the student. Taps all stages and the embedding.

    Paper: Chen et al. 2021, "Distilling Knowledge via Knowledge Review", section 3. Where we differ: the authors' code
    taps the teacher before the last ReLU of each stage, we after it; it raises the weight linearly over the first 20 of
    240 epochs, we keep it. Published weights on CIFAR-100, teacher > student: 5 for wrn_40_2 > wrn_16_2, wrn_40_1 and
    ShuffleNetV1 and for resnet32x4 > resnet8x4 and ShuffleNetV1; 8 for resnet32x4 > ShuffleNetV2; 0.6 for resnet56 >
    resnet20; 1 for resnet110 > resnet32.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_MAPS
    paper: ClassVar[str] = "Chen et al. 2021, Distilling Knowledge via Knowledge Review, section 3"
    tap: ClassVar[Literal["stages"]] = "stages"
    mixes_places: ClassVar[bool] = True

    kd_weight: float = Field(1.0, ge=0)
    """Weight of the term; the published weights differ from pair to pair, see above."""

    @classmethod
    def default_layers(cls, layers: Layers) -> tuple[str, ...]:
        stages = super().default_layers(layers)
        return (*stages, layers.embedding) if stages and layers.embedding else stages

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from kdbench.techniques.features import _fusion

        for shape in (*student, *teacher):
            if len(shape) not in (1, 3):
                raise TechniqueError(f"review fuses maps (C, H, W) and vectors (D,), but a tapped layer gives {shape}.")
        return _fusion.Review([shape[0] for shape in student], [shape[0] for shape in teacher])

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        assert adapters is not None
        mine, its = [_as_map(feature) for feature in student], [_as_map(feature) for feature in teacher]
        return F.review(adapters(mine, [feature.shape[2:] for feature in its]), its)


def _as_map(feature: Tensor) -> Tensor:
    """(B, D) as (B, D, 1, 1); a map as it is."""
    return feature if feature.dim() == 4 else feature[:, :, None, None]
