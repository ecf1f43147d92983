"""One pass of a teacher for all students that are at the same batch; their hooks fire as in a pass of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from kdbench.protocols import Batch
from kdbench.stages._folding import Folding, watched
from kdbench.stages.lockstep import Place, Turn

Hear = Callable[[Batch, Place, Any], None]
"""Is told of a pass: the batch, its place, and the teacher's answer."""


@dataclass(frozen=True)
class _Call:
    """What one module was given in a pass and, unless it was about to work, what it gave."""

    path: str
    before: bool
    """It was about to work: for hooks that come before it."""
    inputs: tuple[Any, ...]
    named: dict[str, Any]
    output: Any = None


@dataclass
class _Calls:
    """What the watched modules did in a pass, in order."""

    made: list[_Call] = field(default_factory=list)
    changed: bool = False
    """Whether a student's own hook gave something, which changed the pass: it is nobody else's."""
    _copies: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def kept(self, value: Any) -> Any:
        """A value with its tensors copied, as the next module may work in place; each once while nobody changes it."""
        return tree_map_only(Tensor, self._copy, value)

    def _copy(self, tensor: Tensor) -> Tensor:
        seen = (id(tensor), tensor._version)
        if seen not in self._copies:
            self._copies[seen] = (tensor, tensor.clone())  # while it is held its id is nobody else's
        return self._copies[seen][1]

    def end(self) -> None:
        """Let go of what was copied."""
        self._copies.clear()


@dataclass(frozen=True)
class _Pass:
    """The latest pass: at which batch, folded where, with which modules watched, what they did, and the answer."""

    place: Place
    folded: frozenset[str]
    paths: frozenset[str]
    calls: _Calls
    answer: Any

    def replayed(self, network: nn.Module) -> bool:
        """Fire a network's hooks as the pass would have; False where it must be made for that network itself."""
        if not watched(network) <= self.paths:
            return False
        return all(_fire(network.get_submodule(call.path), call) for call in self.calls.made)


class SharedPasses:
    """The passes of one teacher, of which each student has a copy that shares its weights.

    So each student taps its own copy. The student that is first at a batch lets its copy compute, with every module
    watched that any student taps; for the others the hooks on their copies are fired with what was seen. Its time is
    borne by all alike. Who wants nothing but the answers of whatever is asked has them told.

    In bf16 a copy computes folded wherever its own hooks would not see it, so that what others tap changes no answer:
    a pass serves those that are folded alike.
    """

    def __init__(self) -> None:
        self._original: Any = None
        """The teacher as it was loaded, or None before."""
        self._folding: Folding | None = None
        """Of the original; None before the first pass in bf16."""
        self._networks: dict[Turn, nn.Module] = {}
        self._hearing: dict[Turn, Hear] = {}
        self._latest: _Pass | None = None

    def copy(self, turn: Turn, load: Callable[[], Any]) -> Any:
        """A stage's copy of the teacher, which is loaded once; copies share its weights, as nobody trains them.

        A teacher that is no module has no hooks, and is no more than shared.
        """
        if self._original is None:
            self._original = load()
        if not isinstance(self._original, nn.Module):
            return self._original
        weights = self._original.requires_grad_(False).parameters()
        self._networks[turn] = deepcopy(self._original, {id(weight): weight for weight in weights})
        return self._networks[turn]

    def listen(self, turn: Turn, hear: Hear) -> None:
        """Tell a stage, which has a copy too, of every pass from now on."""
        self._hearing[turn] = hear

    def leave(self, turn: Turn) -> None:
        """Forget a stage's copy, and tell it no more."""
        self._networks.pop(turn, None)
        self._hearing.pop(turn, None)

    def answer(self, turn: Turn, network: nn.Module, batch: Batch) -> Any:
        """network(*batch.inputs), computed or taken from another student's turn."""
        folded = self._folded(network, batch)
        place = turn.place_of(batch)
        if place is None or self._networks.get(turn) is not network:
            return self._plain(network, batch, folded)
        latest = self._latest
        if latest is not None and (latest.place, latest.folded) == (place, folded) and latest.replayed(network):
            return _copied(latest.answer)
        self._latest = None  # its features are freed before there are others
        if len(self._networks) == 1:
            return self._plain(network, batch, folded)
        made = self._computed(turn, network, batch, place, folded)
        self._latest = None if made.calls.changed else made
        return _copied(made.answer)

    def _folded(self, network: nn.Module, batch: Batch) -> frozenset[str]:
        """Where a network is folded in this pass: nowhere in fp32."""
        if not torch.is_autocast_enabled(batch.index.device.type):
            return frozenset()
        if self._folding is None:
            self._folding = Folding(self._original, batch.inputs)
        return self._folding.foldable(network)

    def _plain(self, network: nn.Module, batch: Batch, folded: frozenset[str]) -> Any:
        if self._folding is None:
            return network(*batch.inputs)
        with self._folding.at_work(network, folded):
            return network(*batch.inputs)

    def _computed(self, turn: Turn, network: nn.Module, batch: Batch, place: Place, folded: frozenset[str]) -> _Pass:
        wall, cpu = turn.clock()
        alike = [each for each, other in self._networks.items() if self._folded(other, batch) == folded]
        paths = frozenset().union(*(watched(self._networks[each]) for each in alike))
        with _recorded(network, paths) as calls:
            answer = self._plain(network, batch, folded)
        for hear in () if calls.changed else [self._hearing[each] for each in alike if each in self._hearing]:
            hear(batch, place, answer)
        after = turn.clock()
        spent = (after[0] - wall, after[1] - cpu)
        turn.bear(-spent[0], -spent[1])
        for each in alike:
            each.bear(spent[0] // len(alike), spent[1] // len(alike))
        return _Pass(place, folded, paths, calls, answer)


@contextmanager
def _recorded(network: nn.Module, paths: frozenset[str]) -> Iterator[_Calls]:
    """Every call of the modules on these paths while the block runs."""
    calls = _Calls()
    hooks = []
    for path in paths:
        module, watcher = network.get_submodule(path), _Watcher(path, calls)
        hooks.append(module.register_forward_pre_hook(watcher.before, prepend=True, with_kwargs=True))
        hooks.append(module.register_forward_pre_hook(watcher.compare_inputs))
        hooks.append(module.register_forward_hook(watcher.after, prepend=True, with_kwargs=True))
        hooks.append(module.register_forward_hook(watcher.compare_output))
    try:
        yield calls
    finally:
        calls.end()
        for hook in hooks:
            hook.remove()


class _Watcher:
    """Hooks around a student's own on one module: the first see what they are given, the last what they left of it."""

    def __init__(self, path: str, calls: _Calls) -> None:
        self._path, self._calls = path, calls
        self._given: tuple[Any, ...] = ()

    def before(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._calls.made.append(_Call(self._path, True, self._calls.kept(inputs), self._calls.kept(named)))
        self._given = inputs

    def compare_inputs(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._calls.changed |= inputs is not self._given

    def after(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        kept = map(self._calls.kept, (inputs, named, output))
        self._calls.made.append(_Call(self._path, False, *kept))
        self._given = (output,)

    def compare_output(self, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._calls.changed |= output is not self._given[0]


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
