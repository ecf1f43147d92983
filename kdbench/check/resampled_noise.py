"""How often the gate's rule would err here, found by drawing again from the ratios that were seen. Times nothing."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.timing.verdict_rule import Decision, Rule, after_first, after_second

SLOWDOWNS = tuple(percent / 100 for percent in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100))
TOLERANCES = (1.03, 1.04, 1.05, 1.07, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
"""Tolerances that are tried in turn, until one is sound here."""
SEEN = 0.95
"""How often a slow-down must be called slower to count as seen."""
MOST_FALSE = 0.005
"""How often equal files may be called slower."""
MOST_DOUBT = 0.05
"""How often equal files may be left undecided."""
MOST_PLACES = 60
"""How many second stages each first stage is combined with, at most."""


@dataclass(frozen=True, kw_only=True)
class NoiseTold:
    """What drawing both stages again, from the ratios of a file to its own copy, says of the gate."""

    draw_count: int
    process_sd: float
    """Standard deviation of a process's log ratio, from the quartiles (their distance over 1.349), so that a few wild
    ones count little."""
    widest: float
    """The largest log ratio of one process, without its sign."""
    false_alarm_fraction: float
    doubt_fraction: float
    smallest_seen: float | None
    """The smallest slow-down (0.03 is 3 per cent) called slower in more than 95 of 100; None where not even 2x is."""
    sound_ratio: float | None
    """The smallest tolerance from the one asked for on that is sound: at most 0.5 % false alarms, at most 5 % left
    undecided, and a slow-down as large as it is seen in more than 95 of 100. None: no tolerance up to 2 is."""


def noise_told(firsts: Sequence[Sequence[float]], max_ratio: float, rule: Rule) -> NoiseTold:
    """From the first stages of several trials: every trial has one, whereas only odd ones have a second stage.

    firsts: [trial][process], natural logarithms of copy / file.
    """
    drawn = _Draws(firsts, rule)
    ratios = (max_ratio, *(ratio for ratio in TOLERANCES if ratio > max_ratio))
    false, doubt = drawn.shares(max_ratio, 0.0)
    logs = np.concatenate([np.asarray(first) for first in firsts])
    low, high = np.quantile(logs, [0.25, 0.75])
    return NoiseTold(
        draw_count=drawn.count,
        process_sd=float(high - low) / 1.349,
        widest=float(np.abs(logs).max()),
        false_alarm_fraction=false,
        doubt_fraction=doubt,
        smallest_seen=next((slower for slower in SLOWDOWNS if drawn.shares(max_ratio, slower)[0] > SEEN), None),
        sound_ratio=next((ratio for ratio in ratios if _is_sound(drawn, ratio)), None),
    )


def _is_sound(drawn: "_Draws", max_ratio: float) -> bool:
    false, doubt = drawn.shares(max_ratio, 0.0)
    return false <= MOST_FALSE and doubt <= MOST_DOUBT and drawn.shares(max_ratio, max_ratio - 1)[0] > SEEN


class _Draws:
    """Every stretch of neighbouring processes as a first stage, with stretches as the second.

    Neighbours in time stay together, as a machine that is busy now is busy next second too. Which of two copies is the
    new one is chance, so each draw counts with both signs.
    """

    def __init__(self, firsts: Sequence[Sequence[float]], rule: Rule) -> None:
        self.rule = rule
        logs = np.concatenate([np.asarray(first) for first in firsts])
        places = len(logs)
        self.first = _stretches(logs, rule.first, range(places))
        self.second = _stretches(logs, rule.fresh, _spaced(places))
        self.count = 2 * len(self.first) * len(self.second)

    def shares(self, max_ratio: float, slower: float) -> tuple[float, float]:
        """The shares of all draws that are called slower, and left undecided.

        slower: by how much each draw is made slower before it is judged; 0.03 is 3 per cent.
        """
        found: Counter[Decision] = Counter()
        for sign in (1, -1):
            seconds = [_shifted(stretch, sign, slower) for stretch in self.second]
            for stretch in self.first:
                first = _shifted(stretch, sign, slower)
                said = after_first(first, max_ratio, self.rule)
                if said is not None:
                    found[said] += len(seconds)
                    continue
                found.update(after_second(first, second, max_ratio, self.rule) for second in seconds)
        return found["slower"] / self.count, found["cannot tell"] / self.count


def _spaced(places: int) -> Sequence[int]:
    """All places, or MOST_PLACES of them at equal distances."""
    return sorted({round(place) for place in np.linspace(0, places - 1, min(places, MOST_PLACES))})


def _stretches(logs: np.ndarray, length: int, places: Sequence[int]) -> list[np.ndarray]:
    """`length` neighbours from each place on; the end is followed by the beginning."""
    return [np.take(logs, range(place, place + length), mode="wrap") for place in places]


def _shifted(stretch: np.ndarray, sign: int, slower: float) -> list[float]:
    shifted: list[float] = (sign * stretch + math.log1p(slower)).tolist()
    return shifted
