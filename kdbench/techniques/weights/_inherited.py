"""Tensors of a larger network carried over to a smaller one, cut where they are larger; knows no technique."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.weights._initial_weights import listed


@torch.no_grad()
def inherited(source: Mapping[str, Tensor], model: nn.Module, prefixes: Mapping[str, str | None]) -> str:
    """Copy into `model` what the source has; a sentence about it, without its full stop.

    prefixes: the model's module paths -> the source's, whose tensors stand for theirs, or None for a module that stays
    as it is; other tensors have one name in both. Of a tensor that is larger in the source on some axes the first
    places are taken. Raises TechniqueError where none fits.
    """
    taken, cut, fresh = 0, 0, []
    blocks = sorted(prefixes, key=len, reverse=True)
    for name, tensor in model.state_dict().items():
        block = next((path for path in blocks if name.startswith(f"{path}.")), None)
        place = "" if block is None else prefixes[block]
        theirs = None if place is None else source.get(place + name.removeprefix(block or ""))
        if theirs is None or theirs.dim() != tensor.dim() or any(map(int.__lt__, theirs.shape, tensor.shape)):
            fresh.append(name)
            continue
        tensor.copy_(theirs[tuple(slice(size) for size in tensor.shape)])
        taken, cut = taken + 1, cut + (theirs.shape != tensor.shape)
    if not taken:
        raise TechniqueError("inherit: no tensor of the teacher fits the student by name and shape; take another one.")
    parts = [f"{taken} of {taken + len(fresh)} tensors"]
    if cut:
        parts.append(f"{cut} of them cut to the student's size")
    if fresh:
        parts.append(f"new: {listed(fresh)}")
    return ", ".join(parts)
