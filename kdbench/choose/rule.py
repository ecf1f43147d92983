"""The rule by which one case is chosen, for `kdbench choose` and the report's answer. Knows no evidence and no text.

1. A candidate fits when it keeps to every limit, by its mean. Whether that is certain is told beside it (`assured`).
2. Of those that fit, the one with the best value of the task's metric is the best. A candidate is alike when it cannot
   be told from it: their difference lies within its own 95 % interval.
3. Of those alike the fastest is chosen; of those whose latency cannot be told from the fastest's (the two 95 %
   intervals share a point), the smallest file; of files of the same size, the best.

The intervals are not adjusted for the number of candidates. An adjustment would widen them and make more candidates
alike, and to ship a worse case because it passed for an equal one is the error to fear here: a better case that is not
recognised costs speed only. The letters in the report's tables answer another question, whether any two of all cases
differ, and are adjusted for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME = 1.01
"""A ratio of latencies or sizes this close to 1 decides nothing: seeds and names alone move a file by some bytes."""
ROUNDING = 1e-9
"""How far a number may lie above its bound, so that a drop of exactly a point is within 1pt."""
NOBODY = -1
"""The pick where nothing fits."""
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Numbers:
    """Tables [draw, candidate]: what was measured is one draw."""

    goodness: Array
    """Values of the metric on the split that is chosen on, negated where lower is better."""
    log_latency: Array
    """Natural logarithm of the latency by which candidates are ordered."""
    byte_count: Array
    """[candidate]"""
    limited: Mapping[str, Array]
    """Limit -> the numbers that it bounds, [draw, candidate] or [candidate]."""


@dataclass(frozen=True)
class Verdicts:
    """The rule's outcome for every draw."""

    fitting: Flags
    """[draw, candidate]"""
    alike: Flags
    """[draw, candidate]"""
    pick: NDArray[np.intp]
    """[draw]: a candidate's place, or NOBODY."""


@dataclass(frozen=True)
class Rule:
    """Limits and noise, which stay the same however the numbers are drawn."""

    bounds: Mapping[str, float]
    alike_within: Array
    """[one, other]: half the interval of two candidates' difference."""
    latency_half: Array
    """[candidate]: half the interval of its `log_latency`; infinite where there is none."""

    def within(self, numbers: Numbers, limit: str) -> Flags:
        """[draw, candidate]: whether a candidate keeps to one limit."""
        kept: Flags = numbers.limited[limit] <= self.bounds[limit] + ROUNDING
        return np.broadcast_to(kept, numbers.goodness.shape)

    def decide(self, numbers: Numbers) -> Verdicts:
        """The three steps above, for every draw at once."""
        draws = np.arange(len(numbers.goodness))
        if not numbers.goodness.size:
            nothing = np.zeros(numbers.goodness.shape, dtype=np.bool_)
            return Verdicts(nothing, nothing, np.full(len(draws), NOBODY))
        fitting = np.logical_and.reduce(
            [np.ones(numbers.goodness.shape, dtype=np.bool_), *(self.within(numbers, name) for name in self.bounds)]
        )
        best = np.where(fitting, numbers.goodness, -math.inf).argmax(axis=1)
        gap = numbers.goodness[draws, best][:, None] - numbers.goodness
        alike = fitting & (gap <= self.alike_within[best] + ROUNDING)
        return Verdicts(fitting, alike, np.where(fitting.any(axis=1), self._cheapest(numbers, alike), NOBODY))

    def same_latency(self, numbers: Numbers, one: NDArray[np.intp]) -> Flags:
        """[draw, candidate]: whether its latency interval shares a point, or nearly, with that of the draw's `one`."""
        draws = np.arange(len(numbers.goodness))
        apart = np.abs(numbers.log_latency - numbers.log_latency[draws, one][:, None])
        same: Flags = apart <= self.latency_half + self.latency_half[one][:, None] + math.log(SAME)
        return same

    def _cheapest(self, numbers: Numbers, alike: Flags) -> NDArray[np.intp]:
        """Step 3; of equals in everything the faster, then the first."""
        fastest = _least(numbers.log_latency, alike)
        fast = alike & self.same_latency(numbers, fastest)
        smallest = np.where(fast, numbers.byte_count, math.inf).min(axis=1, keepdims=True)
        small = fast & (numbers.byte_count <= SAME * smallest)
        top = np.where(small, numbers.goodness, -math.inf).max(axis=1, keepdims=True)
        return _least(numbers.log_latency, small & (numbers.goodness == top))


def _least(values: Array, among: Flags) -> NDArray[np.intp]:
    least: NDArray[np.intp] = np.where(among, values, math.inf).argmin(axis=1)
    return least


def log_half(low: float | None, high: float | None) -> float:
    """Half of an interval in logarithms; infinite where there is none, for then nothing can be told."""
    return math.inf if low is None or high is None else (math.log(high) - math.log(low)) / 2
