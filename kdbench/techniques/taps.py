"""Taps on networks: forward hooks that collect what named modules give or take, and are always taken off again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError, nearest
from kdbench.protocols import Context

Side = Literal["output", "input"]


class Taps:
    """The outputs (or inputs) of the tapped modules in the network's latest pass, in the order of `paths`."""

    def __init__(self, paths: Sequence[str], whose: str) -> None:
        self.paths = tuple(paths)
        self.whose = whose
        self._latest: dict[str, Tensor] = {}

    @property
    def features(self) -> list[Tensor]:
        """One tensor a path, of the latest pass; of a module that works several times in it, the last."""
        for path in self.paths:
            if path not in self._latest:
                raise TechniqueError(f"the {self.whose}'s layer '{path}' does not work in a pass; tap another one.")
        return [self._latest[path] for path in self.paths]

    def keep(self, path: str, value: Any) -> None:
        """Keep the value that a hook was given. Raises TechniqueError where it is no tensor."""
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise TechniqueError(f"the {self.whose}'s layer '{path}' has a {kind}, not one tensor; tap another one.")
        self._latest[path] = value.clone()  # the next module may be a ReLU that works in place


@contextmanager
def tapped(network: nn.Module, paths: Sequence[str], whose: str, side: Side = "output") -> Iterator[Taps]:
    """Taps on modules of a network while the block runs. `whose`: "student" or "teacher", for messages.

    side: what a module gives, or what goes into it. Raises TechniqueError for a path that the network has not.
    """
    modules = dict(network.named_modules())
    for path in paths:
        if not path or path not in modules:
            raise TechniqueError(unknown_layer(path, whose, network))
    taps = Taps(paths, whose)
    hooks = [_hook(modules[path], path, taps, side) for path in taps.paths]
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def _hook(module: nn.Module, path: str, taps: Taps, side: Side) -> Any:
    if side == "input":
        return module.register_forward_pre_hook(lambda _, inputs: taps.keep(path, inputs[0]))
    return module.register_forward_hook(lambda _, inputs, output: taps.keep(path, output))


def unknown_layer(path: str, whose: str, network: nn.Module) -> str:
    """A sentence with the legal module paths, the nearest first."""
    legal = ", ".join(name for name, _ in network.named_modules() if name)
    if not path:
        return f"the {whose}'s architecture names no default layer; name one in the suite: {legal}."
    hint = nearest(path, legal.split(", "))
    return f"the {whose} has no layer '{path}'. {hint}" + (f" It has: {legal}." if "mean" in hint else "")


def shapes(network: nn.Module, taps: Taps, ctx: Context) -> list[tuple[int, ...]]:
    """Shapes of the tapped features without the batch axis, by a pass in eval mode that changes nothing."""
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters()).device  # a fresh student is not yet where the data is
    with torch.no_grad():
        network.eval()(*(tensor.to(device) for tensor in ctx.example))
    for module, mode in modes:
        module.training = mode
    return [tuple(feature.shape[1:]) for feature in taps.features]
