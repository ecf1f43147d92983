"""The network of `ResNet50`."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from kdbench.models._heads import last_layer
from kdbench.models._weights import he_normal
from kdbench.protocols import Output

EXPANSION = 4
"""Output channels of a bottleneck over its inner channels (He et al. 2016, table 1)."""


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution; the shortcut is the identity, or a 1x1 convolution and BatchNorm
    where the shape changes."""

    def __init__(self, before: int, inner: int, stride: int) -> None:
        super().__init__()
        after = EXPANSION * inner
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after and stride == 1 else _projection(before, after, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        block: Tensor = self.relu(self.bn3(self.conv3(inner)) + self.shortcut(x))
        return block


class ResNet50(nn.Module):
    """(B, C, H, W) -> the outputs; stages of 3, 4, 6 and 3 bottlenecks; the last three halve height and width."""

    def __init__(self, input_channels: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.layer1 = _stage(64, 64, 1, 3)
        self.layer2 = _stage(256, 128, 2, 4)
        self.layer3 = _stage(512, 256, 2, 6)
        self.layer4 = _stage(1024, 512, 2, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(2048, outputs)
        self.apply(he_normal)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(x).flatten(1))
        return answers


def _stage(before: int, inner: int, stride: int, block_count: int) -> nn.Sequential:
    later = (Bottleneck(EXPANSION * inner, inner, 1) for _ in range(block_count - 1))
    return nn.Sequential(Bottleneck(before, inner, stride), *later)


def _projection(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
