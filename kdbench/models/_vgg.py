"""The networks of the VGGs."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.models._weights import he_normal, small_normal
from kdbench.protocols import Output

WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """(B, C, H, W) -> the outputs; five groups of 3x3 convolutions, height and width halved between the first four."""

    def __init__(
        self, input_channels: int, convs_per_stage: int, halved_before_last: bool, outputs: Sequence[Output]
    ) -> None:
        super().__init__()
        self.layer0 = _stage(input_channels, WIDTHS[0], convs_per_stage)
        self.layer1 = _stage(WIDTHS[0], WIDTHS[1], convs_per_stage)
        self.layer2 = _stage(WIDTHS[1], WIDTHS[2], convs_per_stage)
        self.layer3 = _stage(WIDTHS[2], WIDTHS[3], convs_per_stage)
        self.layer4 = _stage(WIDTHS[3], WIDTHS[4], convs_per_stage)
        self.halve = nn.MaxPool2d(2)
        self.before_last = nn.MaxPool2d(2) if halved_before_last else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = last_layer(WIDTHS[4], outputs)
        self.apply(he_normal)
        small_normal(self.fc)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.layer0(x)
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(self.halve(x))
        x = self.layer4(self.before_last(x))
        answers: Tensor | tuple[Tensor, ...] = self.fc(self.pool(x).flatten(1))
        return answers


def _stage(before: int, width: int, conv_count: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for number in range(conv_count):
        # the bias is idle before BatchNorm, but the published networks have it, and it counts
        conv = nn.Conv2d(before if number == 0 else width, width, 3, padding=1)
        modules += [conv, nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*modules)
