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


class Scaled(nn.Sequential):
    """A linear layer whose numbers are about 1, then `Affine` to the targets' own unit."""

    def __init__(self, width: int, output: Output) -> None:
        super().__init__(nn.Linear(width, output.width), Affine(output))


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
        return Scaled(width, output) if output.scale else nn.Linear(width, output.width)
    raise ModelError(f"'{output.name}' is of kind {output.kind}, and one answer an example is all that is given here.")


def classifier_width(outputs: Sequence[Output]) -> int | None:
    """How many numbers a library's classifier must give to be what a task asks; None where no classifier is."""
    if len(outputs) != 1 or outputs[0].scale or outputs[0].kind not in ("classes", "multilabel", "values", "embedding"):
        return None
    return outputs[0].width


def replace_classifier(network: nn.Module, outputs: Sequence[Output], name: str) -> None:
    """Put `last_layer` in the place of a library network's last linear layer. Raises ModelError where it has none."""
    path = head_path(network)
    classifier = network.get_submodule(path)
    if not isinstance(classifier, nn.Linear):
        told = " and ".join(f"'{output.name}' ({output.kind})" for output in outputs)
        raise ModelError(f"{name} does not end in a linear layer, so it cannot give {told}; use another model.")
    network.set_submodule(path, last_layer(classifier.in_features, outputs))


def head_path(network: nn.Module) -> str:
    """The module path of what a network answers with: `Heads`, `Scaled`, else its last linear layer or convolution."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    for kinds in (Heads, Scaled, (nn.Linear, nn.Conv2d)):
        if found := [path for path, module in modules.items() if isinstance(module, kinds)]:
            return found[-1]
    raise ModelError("the network has no linear layer and no convolution.")
