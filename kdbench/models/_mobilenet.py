"""The network of `MobileNetV2`."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.models._weights import he_normal, small_normal
from kdbench.protocols import Output

EXPANSION = 6
HEAD = 1280


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, 3x3 depthwise convolution, 1x1 convolution back; no ReLU after that."""

    def __init__(self, before: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _conv(before, inner, 1)
        self.depthwise = _conv(inner, inner, 3, stride, groups=inner)
        self.project = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))
        self.residual = stride == 1 and before == width
        # stands where other blocks have their ReLU, to be tapped for pre-activations
        self.linear = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.project(self.depthwise(self.expand(x)))
        block: Tensor = self.linear(projected + x if self.residual else projected)
        return block


class MobileNetV2(nn.Module):
    """(B, C, H, W) -> (B, classes) at half width; the stem and the last three stages halve height and width."""

    def __init__(self, input_channels: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.stem = _conv(input_channels, 16, 3, 2)
        self.layer1 = nn.Sequential(InvertedResidual(16, 8, 1, 1), *_group(8, 12, 1, 2))
        self.layer2 = nn.Sequential(*_group(12, 16, 2, 3))
        self.layer3 = nn.Sequential(*_group(16, 32, 2, 4), *_group(32, 48, 1, 3))
        self.layer4 = nn.Sequential(*_group(48, 80, 2, 3), *_group(80, 160, 1, 1))
        self.head = _conv(160, HEAD, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(HEAD, outputs)
        self.apply(he_normal)
        small_normal(self.fc)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(self.head(x)).flatten(1))
        return answers


def _group(before: int, width: int, stride: int, block_count: int) -> list[InvertedResidual]:
    later = (InvertedResidual(width, width, 1, EXPANSION) for _ in range(block_count - 1))
    return [InvertedResidual(before, width, stride, EXPANSION), *later]


def _conv(before: int, width: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, width, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
