"""Following channels through permute, flatten, concatenation and the like to the layer that reads them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

Channel = tuple[nn.Module, int]
"""A layer that writes channels, and the number of one of them."""

MOVES = {
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "expand", "expand_as", "view_as", "reshape_as"),
    *("chunk", "split", "tensor_split", "unbind", "narrow", "select", "index_select", "getitem", "__getitem__"),
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "roll", "flip", "repeat", "repeat_interleave"),
}
"""Functions and methods that move values and change none, so that they move labels as well."""
MIXES = {
    *("linear", "bilinear", "matmul", "__matmul__", "mm", "bmm", "einsum", "addmm", "baddbmm", "softmax"),
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "embedding"),
}
"""Functions whose results hold no single channel, though their shape may be that of what they take."""
REDUCTIONS = {"mean", "sum", "amax", "amin"}


class Layout(TorchFunctionMode):
    """Labels every tensor of a pass with the channels that its elements hold, from the layers that write them on.

    A label is a tensor of the shape of the features: at each place the number of a channel, counted over all layers,
    or -1 where there is none. Where a function's effect is not known, labels end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[nn.Module, Tensor | None] = {}
        """For each layer the labels of its inputs, along its input channels; None where they are not known."""
        self._first: dict[nn.Module, int] = {}
        self._count = 0
        self._labels: dict[int, tuple[Tensor, Tensor]] = {}
        """id of a tensor -> the tensor (kept, so that the id stays its own) and its label."""

    def channels(self, layer: nn.Module) -> list[Channel | None] | None:
        """The channel at each place of a layer's input; None at a place where no layer wrote, or for all unknown."""
        labels = self.taken.get(layer)
        if labels is None:
            return None
        known = {first + number: (one, number) for one, first in self._first.items() for number in range(_width(one))}
        return [known.get(label) for label in labels.tolist()]

    def follow(self, model: nn.Module, example: tuple[Tensor, ...], layers: Iterable[Any]) -> None:
        """One pass, in which the layers write labels and take them."""
        handles: list[Any] = []
        for layer in layers:
            self._first[layer] = self._count
            self._count += _width(layer)
            handles.append(layer.register_forward_pre_hook(self._take))
            handles.append(layer.register_forward_hook(self._write))
        try:
            with self, torch.no_grad():
                model(*example)
        finally:
            for handle in handles:
                handle.remove()
            self._labels.clear()

    def _take(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        with torch._C.DisableTorchFunction():
            found = self._label(inputs[0])
            along = None if found is None else _along(found, _axis(layer, found))
            before = self.taken.get(layer, along)
            same = along is not None and before is not None and torch.equal(along, before)
            self.taken[layer] = along if same else None

    def _write(self, layer: nn.Module, _: Any, output: Tensor) -> None:
        with torch._C.DisableTorchFunction():
            labels = torch.arange(self._first[layer], self._first[layer] + _width(layer), device=output.device)
            shape = [1] * output.dim()
            shape[_axis(layer, output)] = -1
            self._keep(output, labels.view(shape).expand(output.shape))

    def _label(self, tensor: Any) -> Tensor | None:
        found = self._labels.get(id(tensor))
        return None if found is None else found[1]

    def _keep(self, tensor: Tensor, label: Tensor) -> None:
        self._labels[id(tensor)] = (tensor, label.contiguous())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        labels = [label for one in given if (label := self._label(one)) is not None]
        if not labels or name in MIXES:
            return result
        with torch._C.DisableTorchFunction():
            if name in MOVES:
                self._move(func, args, kwargs, result)
            elif isinstance(result, Tensor):
                label = _reduced(func, args, kwargs, labels[0]) if name in REDUCTIONS else _spread(labels, result)
                if label is not None and label.shape == result.shape:
                    self._keep(result, label)
        return result

    def _move(self, func: Callable[..., Any], args: Any, kwargs: Any, result: Any) -> None:
        """Apply the same function to the labels; tensors without labels count as -1."""

        def label(tensor: Tensor) -> Tensor:
            found = self._label(tensor)
            if found is not None or not tensor.is_floating_point():
                return found if found is not None else tensor
            return torch.full(tensor.shape, -1, device=tensor.device)

        moved = func(*tree_map_only(Tensor, label, args), **tree_map_only(Tensor, label, kwargs))
        for tensor, its in zip(tree_leaves(result), tree_leaves(moved), strict=True):
            if isinstance(tensor, Tensor):
                self._keep(tensor, its)


def _reduced(func: Any, args: Any, kwargs: Any, label: Tensor) -> Tensor | None:
    """A label where every place of the axes that are reduced has the same one; None elsewhere."""
    axes = args[1] if len(args) > 1 else kwargs.get("dim")
    if axes is None:
        return None
    dims = [axes] if isinstance(axes, int) else list(axes)
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    low, high = label.amin(dims, keepdim=keep), label.amax(dims, keepdim=keep)
    return low if torch.equal(low, high) else None


def _spread(labels: Sequence[Tensor], result: Tensor) -> Tensor | None:
    """The label of a result that has the shape of an argument, or other sizes after its channels, as pooling gives."""
    for label in labels:
        if label.shape == result.shape:
            return label
    (label, *others) = labels
    if others or result.dim() < 3 or label.dim() != result.dim() or label.shape[:2] != result.shape[:2]:
        return None
    flat = label.flatten(2)
    if not bool((flat == flat[:, :, :1]).all()):
        return None
    return flat[:, :, 0].view(*result.shape[:2], *[1] * (result.dim() - 2)).expand(result.shape)


def _along(label: Tensor, axis: int) -> Tensor | None:
    """The labels along an axis, where all other places agree on them."""
    rows = label.movedim(axis, 0).flatten(1)
    return rows[:, 0].clone() if bool((rows == rows[:, :1]).all()) else None


def _axis(layer: nn.Module, tensor: Tensor) -> int:
    """The axis of a layer's inputs and outputs that holds channels."""
    return tensor.dim() - 1 if isinstance(layer, nn.Linear) else 1


def _width(layer: Any) -> int:
    width: int = layer.weight.shape[0]
    return width
