"""Tensors of one network carried over to another by name and shape, and held there; knows no technique."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.taps import unknown_layer

SHOWN = 3
"""Entries that a sentence names before it counts the rest."""


def renamed(state: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors under new names: the first prefix that a name starts with is replaced."""

    def new(name: str) -> str:
        old = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        return prefixes.get(old, "") + name.removeprefix(old)

    return {new(name): tensor for name, tensor in state.items()}


@dataclass(frozen=True)
class Carried:
    """The result of `carry_over`: the names of the tensors that were copied, and a sentence about all of them."""

    names: frozenset[str]
    sentence: str
    all_of_it: bool
    """Whether every layer went over, so that no reader needs to be told."""


def carry_over(source: Mapping[str, Tensor], model: nn.Module) -> Carried:
    """Copy into `model` each layer all of whose tensors the source has under the same names, in the same shapes.

    A layer goes over whole or stays fresh: a bias without its weights would say nothing. Raises TechniqueError where
    no layer goes over.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in source and own[name].dim()]
    differing = [name for name in own if name in source and source[name].shape != own[name].shape]
    fresh = dict.fromkeys(map(layer_of, sorted([*missing, *differing], key=list(own).index)))
    taken = {name: source[name] for name in own if layer_of(name) not in fresh and name in source}
    if not taken:
        raise TechniqueError(
            "no layer of the source fits the student by name and shape; "
            f"it has {listed(_shapes(source))}; the student {listed(_shapes(own))}."
        )
    model.load_state_dict({**own, **taken})
    parts = [f"matched {len(taken)} of {len(own)} tensors"]
    if differing:
        parts.append(listed(f"{n} differs in shape ({_shape(source[n])}, here {_shape(own[n])})" for n in differing))
    if fresh:
        parts.append("fresh: " + listed(f"{layer}.*" if layer else "(the top level)" for layer in fresh))
    return Carried(frozenset(taken), "; ".join(parts) + ".", not fresh)


def layer_of(name: str) -> str:
    """The module path in a tensor's name."""
    return name.rpartition(".")[0]


@contextmanager
def held(network: nn.Module, paths: Sequence[str]) -> Iterator[None]:
    """While the block runs, the parameters under these module paths and their norms' statistics stay as they are.

    Raises TechniqueError for a path that the network has not, or where nothing is left to train.
    """
    modules = dict(network.named_modules())
    for path in paths:
        if not path or path not in modules:
            raise TechniqueError(unknown_layer(path, "student", network))
    inside = [module for path in paths for module in modules[path].modules()]
    wanted = {p: p.requires_grad for module in inside for p in module.parameters()}
    if not any(p.requires_grad for p in network.parameters() if p not in wanted):
        raise TechniqueError(f"freezing {', '.join(paths)} leaves nothing of the student to train; freeze less.")
    norms = [module for module in inside if isinstance(module, nn.modules.batchnorm._NormBase)]
    hooks = [norm.register_forward_pre_hook(_keep_statistics) for norm in norms]
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, was in wanted.items():
            parameter.requires_grad_(was)
        for hook in hooks:
            hook.remove()


def _keep_statistics(norm: nn.Module, _: object) -> None:
    # the loop puts the whole network into training mode at each epoch
    norm.eval()


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _shapes(state: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {_shape(tensor)}" for name, tensor in state.items()]


def listed(entries: Iterable[str]) -> str:
    """The first few entries, and how many more there are."""
    every = list(entries)
    rest = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
