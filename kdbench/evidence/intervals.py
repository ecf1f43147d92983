"""Intervals of single numbers, as plain functions of them: means over seeds, one file's value. Knows no records.

Source
Clopper, Pearson 1934: the exact interval of a rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtr, stdtrit

Spread = tuple[float, float]
"""A mean's standard error and its degrees of freedom."""

LEVEL = 0.95
"""Confidence level of every interval."""
FEWEST = 3
"""Seeds (or processes) below which there is no interval; the values themselves are shown."""
STILL = 1e-9
"""A standard error below it is rounding: such values do not vary."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval where there are enough values for one, and the values."""

    value: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def sd(self) -> float | None:
        """Standard deviation of the values (n - 1), from two on."""
        return float(np.std(self.values, ddof=1)) if self.n > 1 else None

    @property
    def half(self) -> float | None:
        """Half the interval's width; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the two intervals share a point; unknown intervals overlap with everything."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high


def quantile(df: float) -> float:
    """Student's t at the upper end of a two-sided interval of LEVEL."""
    return float(stdtrit(df, (1 + LEVEL) / 2))


def two_sided_p(t: float, df: float) -> float:
    """Two-sided p of a value of Student's t with `df` degrees of freedom."""
    return float(2 * stdtr(df, -abs(t)))


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and t interval; no interval below FEWEST values. `values` is not empty."""
    mean = float(np.mean(values))
    if len(values) < FEWEST:
        return Estimate(mean, None, None, tuple(values))
    error, df = spread_of(values)
    half = quantile(df) * error
    return Estimate(mean, mean - half, mean + half, tuple(values))


def example_half(rate: float, example_count: int) -> float:
    """Half the normal interval of a rate over another draw of as many test examples: sqrt(p (1 - p) / m) times 1.96.

    Of a rate of 0 or 1, which has no such spread: the whole of `rate_interval`.
    """
    if rate in (0.0, 1.0):
        low, high = rate_interval(round(rate * example_count), example_count)
        return high - low
    return quantile(math.inf) * math.sqrt(rate * (1 - rate) / example_count)


def example_interval(value: float, pseudo_values: NDArray[np.float64]) -> Estimate:
    """One file's share of examples with the normal interval over another draw of as many test examples.

    pseudo_values: (n,), one an example; their spread is the value's (`kdbench.protocols.metric`). Where all examples
    count or none does, the exact interval. No interval below FEWEST examples.
    """
    if len(pseudo_values) < FEWEST:
        return Estimate(value, None, None, (value,))
    if value in (0.0, 1.0):
        return Estimate(value, *rate_interval(round(value * len(pseudo_values)), len(pseudo_values)), (value,))
    half = quantile(math.inf) * float(np.std(pseudo_values, ddof=1)) / math.sqrt(len(pseudo_values))
    return Estimate(value, value - half, value + half, (value,))


def influence_interval(value: float, pseudo_values: NDArray[np.float64], on_logit: bool) -> Estimate:
    """`example_interval` of a value that is no share of examples: Student's t, by as many degrees of freedom as the
    pseudo-values inform of.

    on_logit: of a rate, on the scale of log odds, so that it stays within 0 and 1.
    """
    if len(pseudo_values) < FEWEST:
        return Estimate(value, None, None, (value,))
    half = quantile(informed_df(pseudo_values)) * float(np.std(pseudo_values, ddof=1)) / math.sqrt(len(pseudo_values))
    if not on_logit or not 0 < value < 1:
        return Estimate(value, value - half, value + half, (value,))
    odds, wide = math.log(value / (1 - value)), half / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-max(-700.0, min(700.0, end)))) for end in (odds - wide, odds + wide))
    return Estimate(value, low, high, (value,))


def rate_interval(count: int, of: int) -> tuple[float, float]:
    """The exact interval of a rate, `count` of `of` independent trials (Clopper, Pearson 1934).

    Where none or all of them counted, the whole 1 - LEVEL lies on the only side there is.
    """
    tail = 1 - LEVEL if count in (0, of) else (1 - LEVEL) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high


def spread_of(values: Sequence[float]) -> Spread:
    """Standard error and degrees of freedom of a mean."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)), float(len(values) - 1)


def informed_df(columns: NDArray[np.float64]) -> float:
    """Degrees of freedom of the variance of (m,) numbers, from how often large ones are among them; at most m - 1.

    2 / var(s2 / sigma2), where the variance of a variance follows from the kurtosis: m - 1 for normal numbers, about 2k
    where k of the m differ and the others are 0.
    """
    m = len(columns)
    centred = columns - columns.mean()
    squares = float(np.square(centred).sum())
    if m < 4 or squares == 0:
        return float(m - 1)
    kurtosis = m * float((centred**4).sum()) / squares**2
    rest = kurtosis - (m - 3) / (m - 1)
    return float(m - 1) if rest <= 0 else min(2 * m / rest, float(m - 1))


def p_of(mean: float, error: float, df: float) -> float:
    """Two-sided p of a mean of 0."""
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return two_sided_p(mean / error, df)
