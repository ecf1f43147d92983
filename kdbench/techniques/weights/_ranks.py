"""Choosing the ranks at which layers are split: by a share, by energy, or by a budget of multiply-accumulates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.weighted_layers import weighted
from kdbench.techniques.weights._split import Scheme, is_factor, macs_per_rank, matrices, splittable

HALVINGS = 40
"""Bisection steps in search of the energy that meets a budget; as fine as the smallest singular values."""


@dataclass(frozen=True)
class Candidate:
    """A layer that can be split."""

    name: str
    layer: nn.Module
    energies: Tensor
    """Share of the sum of squared singular values that the first 1, 2, ... hold, (full rank,), float64."""
    whole: int
    """Multiply-accumulates as it is."""
    unit: int
    """Multiply-accumulates of the two, for each unit of rank."""

    def pays(self, rank: int) -> bool:
        """Whether the two need fewer multiply-accumulates than the one."""
        return rank * self.unit < self.whole

    def macs(self, rank: int) -> int:
        """Multiply-accumulates left."""
        return min(rank * self.unit, self.whole)

    def rank_of(self, energy: float) -> int:
        """The smallest rank that holds this share of the energy."""
        return min(int((self.energies < energy).sum()) + 1, len(self.energies))


@dataclass(frozen=True)
class Candidates:
    """All layers that can be split, and what the whole network costs."""

    layers: tuple[Candidate, ...]
    macs: int
    """Multiply-accumulates of all convolutions and linear layers."""

    def by_fraction(self, fraction: float) -> list[int]:
        """Ranks: the same share of every layer's full rank, at least 1."""
        return [max(1, round(fraction * len(one.energies))) for one in self.layers]

    def by_energy(self, energy: float) -> list[int]:
        """Ranks: the smallest that hold this share of every layer's energy."""
        return [one.rank_of(energy) for one in self.layers]

    def by_macs(self, budget: float) -> list[int]:
        """Ranks: of the same energy in every layer, the highest with which at most `budget` of the MACs are left.

        Raises TechniqueError where even rank 1 everywhere is too much.
        """
        least = self.left(self.by_energy(0.0))
        if least > budget:
            raise TechniqueError(
                f"mac_fraction {budget:g} cannot be met: with every layer at rank 1 the smallest reachable is "
                f"{math.ceil(1000 * least) / 1000:g}; ask for that or more."
            )
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.left(self.by_energy(middle)) <= budget else (low, middle)
        return self.by_energy(low)

    def left(self, ranks: Sequence[int]) -> float:
        """Share of the network's MACs that is left at these ranks."""
        saved = sum(one.whole - one.macs(rank) for one, rank in zip(self.layers, ranks, strict=True))
        return 1 - saved / self.macs


@torch.no_grad()
def candidates(model: nn.Module, example: tuple[Tensor, ...], scheme: Scheme, keep: Sequence[str]) -> Candidates:
    """The layers of a network that can be split, but for those that `keep` names. The model is left in eval mode."""
    calls = _calls(model.eval(), example)
    free = weighted(model, keep)
    found, total = [], 0
    for name, layer in weighted(model).items():
        positions = [math.prod(left) for _, left in calls[name]]
        whole = layer.weight.numel() * sum(positions)  # type: ignore[operator]
        total += whole
        if name in free and splittable(layer) and not is_factor(name) and positions:
            unit = sum(macs_per_rank(layer, scheme, entered, left) for entered, left in calls[name])
            squares = torch.linalg.svdvals(matrices(layer, scheme)).square().sum(0)
            found.append(Candidate(name, layer, squares.cumsum(0) / squares.sum(), whole, unit))
    return Candidates(tuple(found), total)


Sizes = tuple[int, ...]
"""Sizes of a convolution's maps, or of the axes between batch and features of a linear layer's inputs."""


def _calls(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, list[tuple[Sizes, Sizes]]]:
    """For every call of each layer the sizes of what goes in and of what comes out, for one example."""
    calls: dict[str, list[tuple[Sizes, Sizes]]] = {name: [] for name in weighted(model)}

    def note(name: str, linear: bool) -> Any:
        axes = slice(1, -1) if linear else slice(2, None)
        return lambda _, given, result: calls[name].append((tuple(given[0].shape[axes]), tuple(result.shape[axes])))

    layers = weighted(model).items()
    handles = [layer.register_forward_hook(note(name, isinstance(layer, nn.Linear))) for name, layer in layers]
    try:
        model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return calls
