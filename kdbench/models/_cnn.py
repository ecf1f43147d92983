"""The network of `cnn`."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from kdbench.models._heads import last_layer
from kdbench.protocols import Output


def cnn(
    input_channels: int,
    channels: Sequence[int],
    strides: Sequence[int],
    convs_per_stage: int,
    outputs: Sequence[Output],
) -> nn.Sequential:
    """(B, C, H, W) -> what the outputs give: `layer1`, `layer2`, ..., global average `pool`, `classifier`."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    before = input_channels
    for number, (width, stride) in enumerate(zip(channels, strides, strict=True), start=1):
        modules[f"layer{number}"] = _stage(before, width, stride, convs_per_stage)
        before = width
    modules["pool"] = nn.AdaptiveAvgPool2d(1)
    modules["flatten"] = nn.Flatten()
    modules["classifier"] = last_layer(before, outputs)
    return nn.Sequential(modules)


def _stage(before: int, width: int, stride: int, conv_count: int) -> nn.Sequential:
    """3x3 convolutions, each with BatchNorm and ReLU; the first one has the stride."""
    modules: list[nn.Module] = []
    for number in range(conv_count):
        first = number == 0
        # BatchNorm adds its own bias right after
        conv = nn.Conv2d(before if first else width, width, 3, stride if first else 1, padding=1, bias=False)
        modules += [conv, nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*modules)
