"""A layer split in two by its singular values, and split again for the tensors of a file. Knows no technique."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdbench.techniques.surgery import CONVOLUTIONS

INNER, OUTER = "to_rank", "from_rank"
"""Under these names the two stand where the layer stood; in a state dict they say that it was split."""
SPLITTABLE: tuple[type[nn.Module], ...] = (*CONVOLUTIONS, nn.Linear)
"""These very classes: who derives from them (an attention's projection, an 8-bit layer) reads the weight itself."""

Scheme = Literal["spatial", "channel"]


def splittable(layer: nn.Module) -> bool:
    """Whether it is a layer that can be split."""
    return type(layer) in SPLITTABLE


def matrices(layer: Any, scheme: Scheme) -> Tensor:
    """A layer's weight as one matrix a group, (groups, rows, columns), float64.

    channel: rows are output channels, columns input channels and the kernel. spatial (2-d convolutions; others as
    channel): rows are output channels and the kernel's columns, columns input channels and the kernel's rows.
    """
    groups: int = getattr(layer, "groups", 1)
    weight: Tensor = layer.weight.detach().double().unflatten(0, (groups, -1))
    if scheme == "spatial" and isinstance(layer, nn.Conv2d):
        return weight.permute(0, 1, 4, 2, 3).flatten(3).flatten(1, 2)
    return weight.flatten(2)


Decomposition = tuple[Tensor, Tensor, Tensor]
"""U (groups, rows, rank), the singular values (groups, rank) and V transposed (groups, rank, columns), at full rank."""


def decomposed(layer: Any, scheme: Scheme) -> Decomposition:
    """The singular value decomposition of a layer's weight as `matrices` writes it."""
    left, values, right = torch.linalg.svd(matrices(layer, scheme), full_matrices=False)
    return left, values, right


@torch.no_grad()
def split(layer: Any, scheme: Scheme, rank: int, decomposition: Decomposition) -> nn.Sequential:
    """The layer as two, over `rank` channels (of each group) between them: its best approximation of that rank."""
    left, values, right = decomposition
    root = values[:, :rank].sqrt()
    inner = (root[:, :, None] * right[:, :rank]).flatten(0, 1)
    outer = left[:, :, :rank] * root[:, None]
    inner_shape, outer_shape = _shapes(layer, scheme, rank)
    # rows are (output channel, place along the outer kernel), and the weight wants the rank between the two
    outer = outer.unflatten(1, (-1, math.prod(outer_shape[2:]))).transpose(2, 3)  # type: ignore[no-untyped-call]
    pair = _pair(layer, inner_shape, outer_shape)
    pair[0].weight.copy_(inner.reshape(inner_shape))  # type: ignore[operator]
    pair[1].weight.copy_(outer.reshape(outer_shape))  # type: ignore[operator]
    if layer.bias is not None:
        pair[1].bias.copy_(layer.bias)  # type: ignore[operator]
    return pair


def _shapes(layer: Any, scheme: Scheme, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the weights of the inner and the outer layer."""
    outputs, inputs, *kernel = layer.weight.shape
    within = rank * getattr(layer, "groups", 1)
    if scheme == "spatial" and isinstance(layer, nn.Conv2d):
        return (within, inputs, kernel[0], 1), (outputs, rank, 1, kernel[1])
    return (within, inputs, *kernel), (outputs, rank, *(1 for _ in kernel))


def split_like(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Split every layer of `model` that is split in `state`, a state dict of the same architecture.

    The two have the shapes of its tensors, and no values yet.
    """
    for name, layer in list(model.named_modules()):
        inner, outer = (state.get(f"{name}.{factor}.weight") for factor in (INNER, OUTER))
        if inner is not None and outer is not None and splittable(layer):
            model.set_submodule(name, _pair(layer, inner.shape, outer.shape))


def is_factor(name: str) -> bool:
    """Whether the layer at that path is one of two that were one."""
    return name.rpartition(".")[2] in (INNER, OUTER)


def inner_takes(layer: Any, inner_shape: tuple[int, ...]) -> list[bool]:
    """For each axis of a convolution's kernel whether the inner layer runs along it: stride, padding and dilation."""
    return [mine == its for mine, its in zip(inner_shape[2:], layer.kernel_size, strict=True)]


def _pair(layer: Any, inner: tuple[int, ...], outer: tuple[int, ...]) -> nn.Sequential:
    """The two layers in which `layer` is split, of the weights' shapes given."""
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        first: nn.Module = nn.Linear(inner[1], inner[0], bias=False)
        second: nn.Module = nn.Linear(outer[1], outer[0], bias=bias)
    else:
        takes = inner_takes(layer, inner)
        first = _part(layer, inner, takes, bias=False)
        second = _part(layer, outer, [not one for one in takes], bias=bias)
    pair = nn.Sequential(OrderedDict({INNER: first, OUTER: second}))
    return pair.to(layer.weight.device, layer.weight.dtype).train(layer.training)


def _part(layer: Any, shape: tuple[int, ...], takes: list[bool], *, bias: bool) -> nn.Module:
    """A convolution like `layer` along the axes that it takes, and one that leaves the others as they are."""

    def along(values: tuple[int, ...], neutral: int) -> tuple[int, ...]:
        return tuple(value if mine else neutral for value, mine in zip(values, takes, strict=True))

    part: nn.Module = type(layer)(
        shape[1] * layer.groups,
        shape[0],
        kernel_size=tuple(shape[2:]),
        stride=along(layer.stride, 1),
        padding=layer.padding if isinstance(layer.padding, str) else along(layer.padding, 0),
        dilation=along(layer.dilation, 1),
        groups=layer.groups,
        bias=bias,
        padding_mode=layer.padding_mode,
    )
    return part


def macs_per_rank(layer: Any, scheme: Scheme, entered: tuple[int, ...], left: tuple[int, ...]) -> int:
    """Multiply-accumulates of one example that each unit of rank costs; sizes of what goes in and out, (..., C, ...).

    entered, left: the spatial sizes of a convolution; of a linear layer the sizes between batch and features.
    """
    inner, outer = _shapes(layer, scheme, 1)
    between = left
    if not isinstance(layer, nn.Linear):
        takes = inner_takes(layer, inner)
        between = tuple(after if mine else before for before, after, mine in zip(entered, left, takes, strict=True))
    return math.prod(inner) * math.prod(between) + math.prod(outer) * math.prod(left)
