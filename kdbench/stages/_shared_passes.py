"""One pass of a teacher for all students that are at the same batch; their hooks fire as in a pass of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from kdbench.protocols import Batch
from kdbench.stages.lockstep import Place, Turn


@dataclass(frozen=True)
class _Call:
    """What one module was given in a pass and, unless it was about to work, what it gave."""

    path: str
    before: bool
    """It was about to work: for hooks that come before it."""
    inputs: tuple[Any, ...]
    named: dict[str, Any]
    output: Any = None


@dataclass(frozen=True)
class _Pass:
    """The latest pass: at which batch, with which modules watched, what they did, and the answer."""

    place: Place
    paths: frozenset[str]
    calls: list[_Call]
    answer: Any

    def replayed(self, network: nn.Module) -> bool:
        """Fire a network's hooks as the pass would have; False where it must be made for that network itself."""
        if not watched(network) <= self.paths:
            return False
        return all(_fire(network.get_submodule(call.path), call) for call in self.calls)


class SharedPasses:
    """The passes of one teacher, of which each student has a copy that shares its weights.

    So each student taps its own copy. The student that is first at a batch lets its copy compute, with every module
    watched that any student taps; for the others the hooks on their copies are fired with what was seen. Its time is
    borne by all alike.
    """

    def __init__(self) -> None:
        self._networks: dict[Turn, nn.Module] = {}
        self._latest: _Pass | None = None

    def join(self, turn: Turn, network: nn.Module) -> None:
        """Add a student's copy; its weights, which nobody trains, become those of the copies that are there."""
        for other in self._networks.values():
            for own, shared in zip(network.parameters(), other.parameters(), strict=True):
                own.data = shared.data
            break
        self._networks[turn] = network

    def leave(self, turn: Turn) -> None:
        """Forget a student's copy."""
        self._networks.pop(turn, None)

    def answer(self, turn: Turn, network: nn.Module, batch: Batch) -> Any:
        """network(*batch.inputs), computed or taken from another student's turn."""
        place = turn.place_of(batch)
        if place is None or self._networks.get(turn) is not network:
            return network(*batch.inputs)
        latest = self._latest
        if latest is not None and latest.place == place and latest.replayed(network):
            return _copied(latest.answer)
        self._latest = None  # its features are freed before there are others
        if len(self._networks) == 1:
            return network(*batch.inputs)
        self._latest = self._computed(turn, network, batch, place)
        return _copied(self._latest.answer)

    def _computed(self, turn: Turn, network: nn.Module, batch: Batch, place: Place) -> _Pass:
        wall, cpu = turn.clock()
        paths = frozenset().union(*map(watched, self._networks.values()))
        with _recorded(network, paths) as calls:
            answer = network(*batch.inputs)
        after = turn.clock()
        spent = (after[0] - wall, after[1] - cpu)
        turn.bear(-spent[0], -spent[1])
        for each in self._networks:
            each.bear(spent[0] // len(self._networks), spent[1] // len(self._networks))
        return _Pass(place, paths, calls, answer)


def watched(network: nn.Module) -> frozenset[str]:
    """Paths of the modules that have hooks."""
    return frozenset(
        path for path, module in network.named_modules() if module._forward_hooks or module._forward_pre_hooks
    )


@contextmanager
def _recorded(network: nn.Module, paths: frozenset[str]) -> Iterator[list[_Call]]:
    """Every call of the modules on these paths while the block runs, in order.

    Tensors are copied: the next module may work in place.
    """
    calls: list[_Call] = []

    def before(path: str) -> Any:
        return lambda _, inputs, named: calls.append(_Call(path, True, _copied(inputs), _copied(named)))

    def after(path: str) -> Any:
        return lambda _, inputs, named, output: calls.append(
            _Call(path, False, _copied(inputs), _copied(named), _copied(output))
        )

    hooks = []
    for path in paths:
        module = network.get_submodule(path)
        hooks.append(module.register_forward_pre_hook(before(path), prepend=True, with_kwargs=True))
        hooks.append(module.register_forward_hook(after(path), prepend=True, with_kwargs=True))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _fire(module: nn.Module, call: _Call) -> bool:
    """Call a module's hooks; False where one gives something, which would have changed the pass."""
    hooks: Any = module._forward_pre_hooks if call.before else module._forward_hooks
    wants_named = module._forward_pre_hooks_with_kwargs if call.before else module._forward_hooks_with_kwargs
    given = () if call.before else (call.output,)
    return all(
        hook(module, call.inputs, *([call.named] if number in wants_named else []), *given) is None
        for number, hook in list(hooks.items())
    )


def _copied(value: Any) -> Any:
    """Tensors, and those in tuples, lists and mappings, as copies; anything else as it is."""
    return tree_map_only(Tensor, torch.clone, value)
