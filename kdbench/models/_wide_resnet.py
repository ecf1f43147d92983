"""The networks of the wide ResNets."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.models._weights import he_normal, zero_biases
from kdbench.protocols import Output


class PreactivationBlock(nn.Module):
    """BatchNorm, ReLU and 3x3 convolution, twice, beside a shortcut: the identity, or where the width changes a 1x1
    convolution of what the first ReLU gives."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = None if before == width else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        inner: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return inner + shortcut


class WideResNet(nn.Module):
    """(B, C, H, W) -> the outputs; 6n + 4 layers in three stages of n blocks; the last two halve height and width."""

    def __init__(self, input_channels: int, depth: int, widening: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        block_count = (depth - 4) // 6
        self.conv1 = nn.Conv2d(input_channels, 16, 3, padding=1, bias=False)
        self.layer1 = _stage(16, 16 * widening, 1, block_count)
        self.layer2 = _stage(16 * widening, 32 * widening, 2, block_count)
        self.layer3 = _stage(32 * widening, 64 * widening, 2, block_count)
        self.bn = nn.BatchNorm2d(64 * widening)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(64 * widening, outputs)
        self.apply(he_normal)
        zero_biases(self.fc)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = self.relu(self.bn(x))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(x).flatten(1))
        return answers


def _stage(before: int, width: int, stride: int, block_count: int) -> nn.Sequential:
    later = (PreactivationBlock(width, width, 1) for _ in range(block_count - 1))
    return nn.Sequential(PreactivationBlock(before, width, stride), *later)
