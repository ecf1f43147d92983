"""The network of `unet`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNet(nn.Module):
    """(B, C, H, W) -> (B, classes, H, W): `down1`, `down2`, ... , `up1`, ..., `classifier`."""

    def __init__(self, input_channels: int, channels: Sequence[int], class_count: int) -> None:
        super().__init__()
        sizes = (input_channels, *channels)
        self.depth = len(channels)
        for number in range(1, self.depth + 1):
            self.add_module(f"down{number}", _convolutions(sizes[number - 1], sizes[number]))
        for number in range(self.depth - 1, 0, -1):
            self.add_module(f"up{number}", _convolutions(sizes[number + 1] + sizes[number], sizes[number]))
        self.classifier = nn.Conv2d(channels[0], class_count, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps: list[Tensor] = []
        found = images
        for number in range(1, self.depth + 1):
            found = self.get_submodule(f"down{number}")(found if number == 1 else functional.max_pool2d(found, 2))
            maps.append(found)
        for number in range(self.depth - 1, 0, -1):
            wide = functional.interpolate(found, scale_factor=2.0, mode="nearest")
            found = self.get_submodule(f"up{number}")(torch.cat([wide, maps[number - 1]], 1))
        logits: Tensor = self.classifier(found)
        return logits


def _convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
        *(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
    )
