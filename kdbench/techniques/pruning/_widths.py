"""How many channels are removed from each set, by a share of them or by a budget of multiply-accumulates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning._coupling import Coupled, Traced, depthwise

HALVINGS = 30
"""Bisection steps in search of the share that meets a budget; far finer than one channel of any network."""


@dataclass(frozen=True)
class Original:
    """A network's cost and widths before any pruning."""

    macs: int
    widths: Mapping[str, int]
    """The width of each set of coupled channels, by name."""


def original(traced: Traced) -> Original:
    """The cost and widths of a network that has not been pruned yet."""
    return Original(macs(traced), {one.name: one.width for one in traced.sets})


@dataclass(frozen=True)
class Ranked:
    """A set of coupled channels with its ranks."""

    channels: Coupled
    score: Tensor
    """One number for each channel of a block, (width / blocks,): blocks give up the same ones."""
    before: int
    """The set's width before any pruning."""

    def gone(self, count: int) -> Tensor:
        """The `count` channels to remove: the least important ones of each block."""
        chosen = self.score.argsort(stable=True)[: count // self.channels.blocks]
        share = self.channels.width // self.channels.blocks
        return torch.cat([chosen + block * share for block in range(self.channels.blocks)])


def ranked(channels: Coupled, score: Tensor, before: int) -> Ranked:
    """A set with its ranks, the scores averaged over its blocks."""
    return Ranked(channels, score.view(channels.blocks, -1).mean(dim=0), before)


@dataclass(frozen=True)
class Widths:
    """The rule: widths are multiples of `round_to`; a share holds for every set, or for all of them together."""

    scope: Literal["uniform", "global"]
    round_to: int

    def going(self, sets: Sequence[Ranked], share: float) -> list[int]:
        """How many channels to remove from each set, so that at least `share` (0-1) of the original ones is gone."""
        kept = self._uniform(sets, share) if self.scope == "uniform" else self._global(sets, share)
        return [one.channels.width - self._rounded(count, one.channels) for one, count in zip(sets, kept, strict=True)]

    def within(self, sets: Sequence[Ranked], traced: Traced, whole: int, budget: float) -> list[int]:
        """How many channels to remove from each set so that just at most `budget` (a share of `whole`) MACs are left.

        Raises TechniqueError where no pruning of these sets gets there.
        """
        if (least := macs(traced, sets, self.going(sets, 1.0))) > budget * whole:
            raise TechniqueError(
                f"mac_fraction {budget:g} cannot be met: with round_to {self.round_to} and the layers that stay, the "
                f"smallest reachable is {math.ceil(1000 * least / whole) / 1000:g}; ask for that or more."
            )
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            enough = macs(traced, sets, self.going(sets, middle)) <= budget * whole
            low, high = (low, middle) if enough else (middle, high)
        return self.going(sets, high)

    def _uniform(self, sets: Sequence[Ranked], share: float) -> list[int]:
        return [one.channels.blocks * int(one.before // one.channels.blocks * (1 - share)) for one in sets]

    def _global(self, sets: Sequence[Ranked], share: float) -> list[int]:
        """Remove the least important channels of all sets together; those removed before count."""
        scores = torch.cat([one.score for one in sets])
        owner = torch.cat([torch.full_like(one.score, number) for number, one in enumerate(sets)])
        before = sum(one.before // one.channels.blocks for one in sets)
        gone = max(0, len(scores) - int(before * (1 - share)))
        lost = owner[scores.argsort(stable=True)[:gone]].long().bincount(minlength=len(sets)).tolist()
        return [one.channels.width - one.channels.blocks * count for one, count in zip(sets, lost, strict=True)]

    def _rounded(self, kept: int, channels: Coupled) -> int:
        """Round a width down to a multiple, never to 0; blocks stay equal even where round_to has to give way."""
        if kept >= channels.width:
            return channels.width
        both = math.lcm(self.round_to, channels.blocks)
        unit = both if channels.blocks == 1 or both <= kept else channels.blocks
        return min(max(kept // unit, 1) * unit, channels.width)


def macs(traced: Traced, sets: Sequence[Ranked] = (), going: Sequence[int] = ()) -> int:
    """Multiply-accumulates of convolutions and linear layers for one example, without `going` channels of each set."""
    lost: dict[tuple[nn.Module, str], int] = {}
    for one, count in zip(sets, going, strict=True):
        for member in one.channels.members:
            key = (member.layer, member.side)
            lost[key] = lost.get(key, 0) + count * len(member.places) // one.channels.width
    return sum(_macs(layer, uses, lost) for layer, uses in traced.uses.items())


def _macs(layer: nn.Module, uses: int, lost: Mapping[tuple[nn.Module, str], int]) -> int:
    outputs, inputs, *kernel = layer.weight.shape  # type: ignore[misc]
    outputs -= lost.get((layer, "out"), 0)
    if not depthwise(layer):
        groups: int = getattr(layer, "groups", 1)
        inputs -= lost.get((layer, "in"), 0) // groups
    return int(outputs * inputs * math.prod(kernel) * uses)
