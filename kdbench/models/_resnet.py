"""The networks of the CIFAR ResNets."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from kdbench.models._heads import last_layer
from kdbench.models._weights import he_normal
from kdbench.protocols import Output


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or 1x1 convolution and BatchNorm where the shape changes."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        same = stride == 1 and before == width
        self.shortcut = nn.Identity() if same else _projection(before, width, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        block: Tensor = self.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))
        return block


class CifarResNet(nn.Module):
    """(B, C, H, W) -> the outputs; 6n + 2 layers in three stages of n blocks; the last two halve height and width."""

    def __init__(self, input_channels: int, depth: int, widths: Sequence[int], outputs: Sequence[Output]) -> None:
        super().__init__()
        stem, *stages = widths
        block_count = (depth - 2) // 6
        self.conv1 = nn.Conv2d(input_channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.layer1 = _stage(stem, stages[0], 1, block_count)
        self.layer2 = _stage(stages[0], stages[1], 2, block_count)
        self.layer3 = _stage(stages[1], stages[2], 2, block_count)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(stages[2], outputs)
        self.apply(he_normal)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(x).flatten(1))
        return answers


def _stage(before: int, width: int, stride: int, block_count: int) -> nn.Sequential:
    later = (BasicBlock(width, width, 1) for _ in range(block_count - 1))
    return nn.Sequential(BasicBlock(before, width, stride), *later)


def _projection(before: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
