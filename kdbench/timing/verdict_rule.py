"""When a pair of files is decided: from log ratios, one a process, to slower, ok or cannot tell. It times nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Decision = Literal["slower", "ok", "cannot tell"]


@dataclass(frozen=True)
class Rule:
    """Two stages; where the first is not enough, the second alone decides. `max_ratio` must not go unseen.

    Each process gives one log ratio; 0 means equal. L = log(max_ratio).

    Stage one has 3 processes. It says ok where their median is at most L/2, all are below L, and they agree. Otherwise
    stage two follows, with 7 fresh processes. It says slower where their median is above 2L/3, all but the lowest are
    above 0, they agree, and stage one's median is above 0 too. It says ok where their median is at most 2L/3, all but
    the highest are below L, and they agree. Otherwise nobody can tell.

    Values agree where they lie no further apart than L, or than their median lies from the other side (0 for slower, L
    for ok). Of seven values, the lowest and the highest are left out of that.

    The stages and the thresholds for a ratio of 1.03 (1.5 % and 2 %) gave 0.01 % false alarms among draws from 127
    timings of ResNet-20 on a busy machine, and of the same network made 3 to 9 % slower. Agreement is for worse
    machines. Without it, processes whose log ratios scatter by 5 % give 4 % false alarms and call 23 % of slow-downs by
    3 % ok. With it these are 0.5 % and 6 %, and the rest is told as cannot tell (tests/timing/test_verdict_rule.py).
    """

    first: int = 3
    fresh: int = 7
    quiet: float = 1 / 2
    """Share of log(max_ratio) above which stage one's median triggers stage two."""
    alarm: float = 2 / 3
    """Share of log(max_ratio) above which stage two's median is a slow-down."""


DEFAULT = Rule()


def after_first(logs: Sequence[float], max_ratio: float, rule: Rule = DEFAULT) -> Decision | None:
    """ "ok", or None where stage two is needed. `logs`: natural logarithms of new / reference, one a process."""
    limit, values = math.log(max_ratio), sorted(logs)
    middle = _median(values)
    calm = middle <= rule.quiet * limit and values[-1] < limit
    return "ok" if calm and values[-1] - values[0] <= max(limit, limit - middle) else None


def after_second(first: Sequence[float], second: Sequence[float], max_ratio: float, rule: Rule = DEFAULT) -> Decision:
    """The decision after both stages; `second` holds at least three values."""
    limit, values = math.log(max_ratio), sorted(second)
    middle, inner = _median(values), values[1:-1]
    width = inner[-1] - inner[0]
    if middle > rule.alarm * limit:
        agree = inner[0] > 0 and width <= max(limit, middle) and _median(sorted(first)) > 0
        return "slower" if agree else "cannot tell"
    agree = inner[-1] < limit and width <= max(limit, limit - middle)
    return "ok" if agree else "cannot tell"


def spread(logs: Sequence[float]) -> tuple[float, float, float]:
    """The median and the range of one stage: of all values, or, from five on, of all but the lowest and highest.

    The median of endless processes lies within with 75 % for 3 and 87.5 % for 7 (binomial, whatever the noise).
    """
    values = sorted(logs)
    inner = values[1:-1] if len(values) >= 5 else values
    return _median(values), inner[0], inner[-1]


def _median(values: Sequence[float]) -> float:
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
