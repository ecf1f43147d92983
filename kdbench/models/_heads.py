"""The last layer of a network, by the kind of its output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdbench.errors import ModelError
from kdbench.protocols import Output


class Affine(nn.Module):
    """x * scale + mean, one pair for each value: from numbers of about 1 to the targets' own unit."""

    scale: Tensor
    mean: Tensor

    def __init__(self, output: Output) -> None:
        super().__init__()
        (count,) = output.axes
        self.register_buffer("scale", torch.tensor(output.scale or [1.0] * int(count), dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(output.mean or [0.0] * int(count), dtype=torch.float32))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.scale + self.mean


class Heads(nn.ModuleList):
    """One last layer an output, on the same features (B, width)."""

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        return tuple(one(features) for one in self)


def last_layer(width: int, outputs: Sequence[Output]) -> nn.Module:
    """(B, width) -> what the outputs give: a tensor, or of several outputs a tuple. Raises ModelError."""
    if len(outputs) == 1:
        return head(width, outputs[0])
    return Heads(head(width, output) for output in outputs)


def head(width: int, output: Output) -> nn.Module:
    """(B, width) -> what the output gives. Raises ModelError for an output of places."""
    if output.kind in ("classes", "multilabel"):
        return nn.Linear(width, output.class_count)
    if output.kind in ("values", "embedding"):
        (count,) = output.axes
        return (
            nn.Sequential(nn.Linear(width, int(count)), Affine(output))
            if output.scale
            else nn.Linear(width, int(count))
        )
    raise ModelError(f"'{output.name}' is of kind {output.kind}, and one answer an example is all that is given here.")
