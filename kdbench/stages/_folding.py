"""A teacher's convolutions with the BatchNorm after each folded in, for passes in bf16 that nobody trains through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from kdbench.techniques.surgery_check import difference

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
EXAMPLES = 2
"""How many examples of a batch the folded network is compared on."""


@dataclass(frozen=True)
class _Pair:
    """A convolution and the BatchNorm that works on what it gives, by their paths; and the one layer for both."""

    convolution: str
    norm: str
    folded: nn.Module

    @property
    def own(self) -> frozenset[str]:
        """Paths of the modules that hold one of the two and not the other: folded, these give something else."""
        return _holding(self.convolution) ^ _holding(self.norm)


class Folding:
    """The pairs of a network that are folded in its copies, which share its weights.

    A folded layer rounds its weights and what it gives to bf16, where convolution and BatchNorm do so one after the
    other: its answers differ from unfolded ones by that rounding. A pass of a ResNet-32x4 takes 0.79 to 0.85 of the
    time, one of a CNN with (64, 128, 256) channels 0.72 (64 pictures of 32x32, one thread of an Intel Xeon with AMX).
    """

    def __init__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """network: in eval mode and without hooks. Nothing is folded where it does not answer the same then.

        That is seen in fp32, on a few of the inputs, in all that any of its modules gives, so that code which uses
        what a convolution gives in any other way is found out.
        """
        few = tuple(tensor[:EXAMPLES] for tensor in inputs)
        devices = [few[0].device] if few[0].is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices), torch.autocast(few[0].device.type, enabled=False):
            before = _seen(network, few)
            self._pairs = _pairs(before)
            if self._pairs:
                with self.at_work(network, self.foldable(network)):
                    after = _seen(network, few)
                inside = frozenset().union(*(pair.own for pair in self._pairs))
                if difference(_outside(inside, before), _outside(inside, after)):
                    self._pairs = []

    def foldable(self, copy: nn.Module) -> frozenset[str]:
        """The pairs, by their convolutions, whose folding no hook on a copy would see."""
        hooked = watched(copy)
        return frozenset(pair.convolution for pair in self._pairs if not pair.own & hooked)

    @contextmanager
    def at_work(self, copy: nn.Module, folded: frozenset[str]) -> Iterator[None]:
        """While the block runs, these pairs compute as one layer each; a copy's modules are its own again after it."""
        before = []
        try:
            for pair in self._pairs:
                if pair.convolution in folded:
                    before.append((pair.convolution, _exchange(copy, pair.convolution, pair.folded)))
                    before.append((pair.norm, _exchange(copy, pair.norm, nn.Identity())))
            yield
        finally:
            for path, module in before:
                _exchange(copy, path, module)


def watched(network: nn.Module) -> frozenset[str]:
    """Paths of the modules that have hooks."""
    return frozenset(
        path for path, module in network.named_modules() if module._forward_hooks or module._forward_pre_hooks
    )


def _holding(path: str) -> frozenset[str]:
    """A module's path, and those of all that it is part of."""
    names = path.split(".")
    return frozenset(".".join(names[:count]) for count in range(len(names) + 1))


def _exchange(network: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put a module at a path; what stood there."""
    parent, _, name = path.rpartition(".")
    modules: Any = network.get_submodule(parent)._modules
    stood: nn.Module = modules[name]
    modules[name] = module
    return stood


@dataclass(frozen=True)
class _Call:
    """A module at work in a pass: what it was given first and what it gave, and copies of the tensors in that."""

    path: str
    module: nn.Module
    given: Any
    output: Any
    copies: tuple[Tensor, ...]


def _seen(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[_Call]:
    """Every call of a module in a pass, as they end."""
    calls: list[_Call] = []

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            copies = tuple(leaf.clone() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
            calls.append(_Call(path, module, given[0] if given else None, output, copies))

        return keep

    hooks = [module.register_forward_hook(note(path)) for path, module in network.named_modules()]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _pairs(calls: Sequence[_Call]) -> list[_Pair]:
    """Convolutions that work once in a pass, and whose output a BatchNorm is given that works once, too."""
    often = Counter(call.path for call in calls)
    once = [call for call in calls if often[call.path] == 1 and not call.module.training]
    norms = {id(call.given): call for call in once if type(call.module) in NORMS}
    found = []
    for call in once:
        after = norms.get(id(call.output)) if type(call.module) in CONVOLUTIONS else None
        if after is not None:
            convolution, norm = call.module, after.module
            assert isinstance(convolution, CONVOLUTIONS)
            assert isinstance(norm, NORMS)
            if norm.running_mean is not None:
                found.append(_Pair(call.path, after.path, fuse_conv_bn_eval(convolution, norm)))
    return found


def _outside(inside: frozenset[str], calls: Sequence[_Call]) -> tuple[Tensor, ...]:
    """What modules gave in a pass, but those inside."""
    return tuple(copy for call in calls if call.path not in inside for copy in call.copies)
