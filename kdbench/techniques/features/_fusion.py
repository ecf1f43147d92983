"""The fusion of a student's stages that knowledge review trains beside it. Knows no formula of the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdbench.techniques.features._adapters import Norm

MOST_CHANNELS = 512
"""Most channels in which maps are fused, as in the authors' code."""


class Fusion(nn.Module):
    """Attention-based fusion: a stage's map, mixed place by place with what the deeper stages passed on.

    Chen et al. 2021, section 3.2 (ABF): 1x1 convolution to the common channels; two attention maps (sigmoid of a 1x1
    convolution over both) weigh own and deeper map; 3x3 convolution to the teacher's channels.
    """

    def __init__(self, channels: int, common: int, teacher_channels: int, fuses: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(channels, common, 1, bias=False), Norm(common))
        self.attention = nn.Sequential(nn.Conv2d(2 * common, 2, 1), nn.Sigmoid()) if fuses else None
        self.expand = nn.Sequential(
            nn.Conv2d(common, teacher_channels, 3, padding=1, bias=False), Norm(teacher_channels)
        )
        for weight in (self.reduce.get_parameter("0.weight"), self.expand.get_parameter("0.weight")):
            nn.init.kaiming_uniform_(weight, a=1)

    def forward(self, features: Tensor, deeper: Tensor | None, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The map in the teacher's channels and size (H, W), and the map to pass on to the stage before."""
        fused = self.reduce(features)
        if self.attention is not None and deeper is not None:
            deeper = interpolate(deeper, fused.shape[2:], mode="nearest")
            share = self.attention(torch.cat([fused, deeper], 1))
            fused = fused * share[:, :1] + deeper * share[:, 1:]
        if fused.shape[2:] != tuple(size):
            fused = interpolate(fused, size, mode="nearest")
        return self.expand(fused), fused


class Review(nn.ModuleList):
    """One fusion a stage; stages in the networks' order, fused from the deepest up."""

    def __init__(self, student: Sequence[int], teacher: Sequence[int]) -> None:
        """student, teacher: channels of the stages."""
        common = min(MOST_CHANNELS, student[-1])
        fuses = [True] * (len(student) - 1) + [False]
        super().__init__(
            Fusion(mine, common, its, fuse) for mine, its, fuse in zip(student, teacher, fuses, strict=True)
        )

    def forward(self, features: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> list[Tensor]:
        """The student's maps, each in the shape of the teacher's at its place."""
        maps: list[Tensor] = []
        deeper = None
        for fusion, feature, size in reversed(list(zip(self, features, sizes, strict=True))):
            fused, deeper = fusion(feature, deeper, size)
            maps.insert(0, fused)
        return maps
