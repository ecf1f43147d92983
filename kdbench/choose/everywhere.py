"""One case for every device: what to ship where only one file is wanted. Knows verdicts, no records."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdbench.choose.rule import Numbers, Rule, Verdict
from kdbench.evidence import Setting


@dataclass(frozen=True)
class Ranking:
    """One device and batch size: its candidates, their numbers and what the rule made of them."""

    setting: Setting
    names: tuple[str, ...]
    rule: Rule
    numbers: Numbers
    verdict: Verdict

    @property
    def pick(self) -> str | None:
        return None if self.verdict.pick is None else self.names[self.verdict.pick]

    def of(self, places: Iterable[int]) -> list[str]:
        return [self.names[place] for place in places]

    def slowdown(self, name: str) -> float:
        """Its latency over the pick's; 1 where the two cannot be told apart or it is faster."""
        place, pick = self.names.index(name), self.verdict.pick
        if pick is None or self.rule.same_latency(self.numbers, place, pick):
            return 1.0
        return max(1.0, math.exp(self.numbers.log_latency[place] - self.numbers.log_latency[pick]))

    def loss(self, name: str) -> float:
        """How far its accuracy lies below the pick's, on the split that is chosen on; a rate, below 0 where above."""
        pick = self.verdict.pick if self.verdict.pick is not None else self.names.index(name)
        return self.numbers.accuracy[pick] - self.numbers.accuracy[self.names.index(name)]


@dataclass(frozen=True)
class OneForAll:
    """The case that is best at its worst."""

    case: str
    alike_everywhere: bool
    """Whether it cannot be told from the best in accuracy on any device; then speed decided, else accuracy."""
    slowest: Setting
    slowdown: float
    """Latency over the pick's, where that is largest."""
    least_accurate: Setting
    accuracy_loss: float
    """Below the pick's, where that is most; a rate on the split that is chosen on."""


def one_for_all(rankings: Sequence[Ranking]) -> OneForAll | None:
    """Of the cases that fit on every device: of those alike to the best everywhere the one that is least slow where it
    is slowest beside the pick; where none is alike everywhere, the one that loses least where it loses most.

    None for a single device, and where no case fits on all.
    """
    if len(rankings) < 2:
        return None
    fitting = _common([ranking.of(ranking.verdict.fitting) for ranking in rankings])
    alike = _common([ranking.of(ranking.verdict.alike) for ranking in rankings])
    if not fitting:
        return None
    return _described(min(alike or fitting, key=lambda name: _cost(name, rankings, bool(alike))), bool(alike), rankings)


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    first, *rest = lists
    return [name for name in first if all(name in names for names in rest)]


def _cost(name: str, rankings: Sequence[Ranking], alike: bool) -> tuple[float, float, float]:
    """What is to be least, then what decides between equals: how often it is no pick."""
    slowdown = max(ranking.slowdown(name) for ranking in rankings)
    loss = max(ranking.loss(name) for ranking in rankings)
    strange = sum(ranking.pick != name for ranking in rankings)
    return (slowdown, strange, loss) if alike else (loss, slowdown, strange)


def _described(name: str, alike: bool, rankings: Sequence[Ranking]) -> OneForAll:
    slowest = max(rankings, key=lambda ranking: ranking.slowdown(name))
    worst = max(rankings, key=lambda ranking: ranking.loss(name))
    return OneForAll(name, alike, slowest.setting, slowest.slowdown(name), worst.setting, worst.loss(name))
