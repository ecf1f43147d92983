"""The networks of the two ShuffleNets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.protocols import Output

STEM = 24
GROUPS = 3


def shuffled(x: Tensor, groups: int) -> Tensor:
    """(B, C, H, W) with channel c of group g moved to place c * groups + g."""
    batch, _, height, width = x.shape
    return x.reshape(batch, groups, -1, height, width).transpose(1, 2).flatten(1, 2)


class UnitV1(nn.Module):
    """Grouped 1x1 convolution, shuffle, 3x3 depthwise convolution, grouped 1x1 convolution, beside a shortcut.

    With stride 1 the shortcut is added. With stride 2 it is average-pooled and concatenated; `width` counts both.
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = width if stride == 1 else width - before
        inner = after // 4
        # the stem's channels are too few to be grouped (the paper's section 3.2)
        self.groups = 1 if before == STEM else GROUPS
        self.reduce = _conv(before, inner, 1, groups=self.groups)
        self.depthwise = _conv(inner, inner, 3, stride, groups=inner)
        self.expand = _linear_conv(inner, after, 1, groups=GROUPS)
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride, padding=1)
        self.added = stride == 1
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.expand(self.depthwise(shuffled(self.reduce(x), self.groups)))
        shortcut = self.shortcut(x)
        unit: Tensor = self.relu(inner + shortcut if self.added else torch.cat([inner, shortcut], dim=1))
        return unit


class ShuffleNetV1(nn.Module):
    """(B, C, H, W) -> the outputs; each of three stages halves height and width."""

    def __init__(self, input_channels: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.stem = _conv(input_channels, STEM, 1)
        self.layer1 = _stage_v1(STEM, 240, 4)
        self.layer2 = _stage_v1(240, 480, 8)
        self.layer3 = _stage_v1(480, 960, 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(960, outputs)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(x).flatten(1))
        return answers


class DownUnitV2(nn.Module):
    """Two branches with a 3x3 depthwise convolution of stride 2 each, put side by side and shuffled."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.left = nn.Sequential(_linear_conv(before, before, 3, 2, groups=before), _conv(before, half, 1))
        self.right = nn.Sequential(
            _conv(before, half, 1), _linear_conv(half, half, 3, 2, groups=half), _conv(half, half, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return shuffled(torch.cat([self.left(x), self.right(x)], dim=1), 2)


class UnitV2(nn.Module):
    """Half of the channels stay, half go through 1x1, 3x3 depthwise and 1x1 convolution; then all are shuffled.

    In the unit that ends a stage the last ReLU comes after the shuffle and covers all channels, so that the stage's
    pre-activation can be tapped before it. The half that stays has no negative numbers, so the result is the same. The
    other units keep the usual order: this one in all of them cost 2 to 3 % of the network's latency (onnxruntime, one
    CPU thread, batches of 1 and 32).
    """

    def __init__(self, width: int, ends_stage: bool) -> None:
        super().__init__()
        half = width // 2
        last = _linear_conv if ends_stage else _conv
        self.right = nn.Sequential(_conv(half, half, 1), _linear_conv(half, half, 3, groups=half), last(half, half, 1))
        self.relu = nn.ReLU() if ends_stage else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        stay, go = x.chunk(2, dim=1)
        unit: Tensor = self.relu(shuffled(torch.cat([stay, self.right(go)], dim=1), 2))
        return unit


class ShuffleNetV2(nn.Module):
    """(B, C, H, W) -> the outputs; each of three stages halves height and width."""

    def __init__(self, input_channels: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.stem = _conv(input_channels, STEM, 1)
        self.layer1 = _stage_v2(STEM, 116, 3)
        self.layer2 = _stage_v2(116, 232, 7)
        self.layer3 = _stage_v2(232, 464, 3)
        self.head = _conv(464, 1024, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(1024, outputs)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(self.head(x)).flatten(1))
        return answers


def _stage_v1(before: int, width: int, unit_count: int) -> nn.Sequential:
    return nn.Sequential(UnitV1(before, width, 2), *(UnitV1(width, width, 1) for _ in range(unit_count - 1)))


def _stage_v2(before: int, width: int, later_count: int) -> nn.Sequential:
    later = (UnitV2(width, ends_stage=number == later_count) for number in range(1, later_count + 1))
    return nn.Sequential(DownUnitV2(before, width), *later)


def _conv(before: int, width: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return _linear_conv(before, width, size, stride, groups).append(nn.ReLU())


def _linear_conv(before: int, width: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, width, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width))
