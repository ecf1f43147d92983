"""One case for every device: what to ship where only one file is wanted. Knows verdicts, no records."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kdbench.choose.rule import NOBODY, Numbers, Rule, Verdicts
from kdbench.evidence import Setting


@dataclass(frozen=True)
class Ranking:
    """One device and batch size: its candidates, their numbers and what the rule made of them (a single draw)."""

    setting: Setting
    names: tuple[str, ...]
    rule: Rule
    numbers: Numbers
    verdicts: Verdicts

    @property
    def pick(self) -> str | None:
        """The case that is chosen; None where nothing fits."""
        return None if self.verdicts.pick[0] == NOBODY else self.names[self.verdicts.pick[0]]

    @property
    def fitting(self) -> list[str]:
        """The cases that keep to every limit."""
        return self._named(np.flatnonzero(self.verdicts.fitting[0]))

    @property
    def alike(self) -> list[str]:
        """The fitting cases that cannot be told from the best of them by the metric."""
        return self._named(np.flatnonzero(self.verdicts.alike[0]))

    @cached_property
    def as_fast(self) -> list[str]:
        """The cases whose latency cannot be told from the pick's; all of them where nothing fits."""
        if self.pick is None:
            return list(self.names)
        return self._named(np.flatnonzero(self.rule.same_latency(self.numbers, self.verdicts.pick)[0]))

    def _named(self, places: Iterable[int]) -> list[str]:
        return [self.names[place] for place in places]

    def log_latency(self, name: str) -> float:
        """Natural logarithm of its latency in ns."""
        return float(self.numbers.log_latency[0, self.names.index(name)])

    def goodness(self, name: str) -> float:
        """The metric's value on the split that is chosen on, negated where lower is better."""
        return float(self.numbers.goodness[0, self.names.index(name)])

    def slowdown(self, name: str) -> float:
        """Its latency over the pick's; 1 where the two cannot be told apart or it is faster."""
        if self.pick is None or name in self.as_fast:
            return 1.0
        return max(1.0, math.exp(self.log_latency(name) - self.log_latency(self.pick)))

    def loss(self, name: str) -> float:
        """How much worse its value is than the pick's, on the split that is chosen on; below 0 where better."""
        return self.goodness(self.pick or name) - self.goodness(name)


@dataclass(frozen=True)
class OneForAll:
    """The case that is best at its worst."""

    case: str
    alike_everywhere: bool
    """Whether it cannot be told from the best on any device; then speed decided, else the metric."""
    slowest: Setting
    slowdown: float
    """Latency over the pick's, where that is largest."""
    worst: Setting
    loss: float
    """How much worse than the pick's, where that is most; in the metric's unit, on the split that is chosen on."""


def one_for_all(rankings: Sequence[Ranking]) -> OneForAll | None:
    """One file for all devices: of the cases as good as the best everywhere, the one with the smallest worst-case
    slow-down; if there is none, the one with the smallest worst-case loss.

    None for a single device, and where no case fits on all of them.
    """
    if len(rankings) < 2:
        return None
    fitting = _common([ranking.fitting for ranking in rankings])
    alike = _common([ranking.alike for ranking in rankings])
    if not fitting:
        return None
    return _described(min(alike or fitting, key=lambda name: _cost(name, rankings, bool(alike))), bool(alike), rankings)


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    first, *rest = lists
    return [name for name in first if all(name in names for names in rest)]


def _cost(name: str, rankings: Sequence[Ranking], alike: bool) -> tuple[float, float, float]:
    """The cost to be least; between equals, the number of devices on which the case is not the pick decides."""
    slowdown = max(ranking.slowdown(name) for ranking in rankings)
    loss = max(ranking.loss(name) for ranking in rankings)
    strange = sum(ranking.pick != name for ranking in rankings)
    return (slowdown, strange, loss) if alike else (loss, slowdown, strange)


def _described(name: str, alike: bool, rankings: Sequence[Ranking]) -> OneForAll:
    slowest = max(rankings, key=lambda ranking: ranking.slowdown(name))
    worst = max(rankings, key=lambda ranking: ranking.loss(name))
    return OneForAll(name, alike, slowest.setting, slowest.slowdown(name), worst.setting, worst.loss(name))
