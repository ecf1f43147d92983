"""The rule by which one candidate is chosen, as a function of numbers; it is the same for what was measured and for
what is drawn again. Knows no evidence and no text.

1. Whoever is within every limit fits.
2. The best in accuracy among them, and all that cannot be told from it, are alike.
3. Of those the fastest; of those whose latency cannot be told from the fastest, the smallest file; of files of that
   size, the best in accuracy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SAME = 1.01
"""A ratio of latencies or sizes this close to 1 decides nothing: seeds and names alone move a file by some bytes."""
ROUNDING = 1e-9
"""What a number may lie above its limit, for a drop of exactly a point is within 1pt."""


@dataclass(frozen=True)
class Numbers:
    """One entry a candidate."""

    accuracy: Sequence[float]
    """Rates on the split that is chosen on."""
    log_latency: Sequence[float]
    """Natural logarithm of the latency by which candidates are ordered."""
    byte_count: Sequence[float]
    limited: Mapping[str, Sequence[float]]
    """Limit -> the numbers that it bounds."""


@dataclass(frozen=True)
class Verdict:
    """Places of candidates."""

    fitting: tuple[int, ...]
    alike: tuple[int, ...]
    pick: int | None


@dataclass(frozen=True)
class Rule:
    """What stays the same however the numbers are drawn."""

    bounds: Mapping[str, float]
    alike_within: Callable[[int, int], float]
    """Half the interval of two candidates' difference in accuracy: closer than that they cannot be told apart."""
    latency_half: Sequence[float]
    """Half of each candidate's interval of `log_latency`; infinite where there is none."""

    def within(self, numbers: Numbers, limit: str, place: int) -> bool:
        """Whether a candidate keeps to one limit."""
        return numbers.limited[limit][place] <= self.bounds[limit] + ROUNDING

    def decide(self, numbers: Numbers) -> Verdict:
        """Everything above, in order."""
        places = range(len(numbers.accuracy))
        fitting = tuple(place for place in places if all(self.within(numbers, name, place) for name in self.bounds))
        if not fitting:
            return Verdict((), (), None)
        best = max(fitting, key=numbers.accuracy.__getitem__)
        alike = tuple(place for place in fitting if self._alike(numbers, best, place))
        return Verdict(fitting, alike, self._cheapest(numbers, alike))

    def same_latency(self, numbers: Numbers, one: int, other: int) -> bool:
        """Whether two latencies' intervals share a point, or nearly."""
        apart = abs(numbers.log_latency[one] - numbers.log_latency[other])
        return apart <= self.latency_half[one] + self.latency_half[other] + math.log(SAME)

    def _alike(self, numbers: Numbers, best: int, other: int) -> bool:
        gap = numbers.accuracy[best] - numbers.accuracy[other]
        return best == other or gap == 0 or gap <= self.alike_within(best, other)

    def _cheapest(self, numbers: Numbers, alike: Sequence[int]) -> int:
        fastest = min(alike, key=numbers.log_latency.__getitem__)
        fast = [place for place in alike if self.same_latency(numbers, fastest, place)]
        smallest = min(numbers.byte_count[place] for place in fast)
        small = [place for place in fast if numbers.byte_count[place] <= SAME * smallest]
        return max(small, key=lambda place: (numbers.accuracy[place], -numbers.log_latency[place]))


def log_half(low: float | None, high: float | None) -> float:
    """Half of an interval in logarithms; infinite where there is none, for then nothing can be told."""
    return math.inf if low is None or high is None else (math.log(high) - math.log(low)) / 2
