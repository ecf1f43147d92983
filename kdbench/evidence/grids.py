"""Means over seeds and measuring processes, both random: what latencies have. Plain functions of numbers.

Sources
Satterthwaite 1946: the degrees of freedom of a sum of variances.
Welch 1938: two means whose noise is independent and not alike.
Zou, Donner 2008 (Statistics in Medicine 27): an interval from those of two parts measured apart.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kdbench.evidence.intervals import FEWEST, STILL, Estimate, Spread, p_of, quantile, spread_of


def from_logs(logs: Estimate) -> Estimate:
    """An estimate of logarithms, as the numbers themselves (a geometric mean and its interval)."""
    low = None if logs.low is None else math.exp(logs.low)
    high = None if logs.high is None else math.exp(logs.high)
    return Estimate(math.exp(logs.value), low, high, tuple(math.exp(value) for value in logs.values))


def quotient(one: Estimate, other: Estimate) -> Estimate:
    """one / other of two positive numbers that were measured apart, so whose noise is independent.

    Of the logarithms' difference each end takes the squares of both parts' distances to theirs (Zou, Donner 2008).
    """
    value = one.value / other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate(value, None, None, (value,))
    down = math.hypot(math.log(one.value / one.low), math.log(other.high / other.value))
    up = math.hypot(math.log(one.high / one.value), math.log(other.value / other.low))
    return Estimate(value, value * math.exp(-down), value * math.exp(up), (value,))


def grid_interval(values: NDArray[np.float64]) -> Estimate:
    """Mean of values[seed, process] with an interval for both as random, when there are few of either.

    The variance of the mean is the sum of those over seeds and over processes, each with the residual in it (so it errs
    on the wide side), with Satterthwaite's degrees of freedom; never narrower than the t interval over either alone.
    Of what is there fewer than FEWEST times nothing is said; the estimate's own values are one a process.
    """
    mean, by_process = float(values.mean()), tuple(values.mean(axis=0).tolist())
    spreads = _factors(values)
    if not spreads:
        return Estimate(mean, None, None, by_process)
    half = max(quantile(df) * error for error, df in [*spreads, _sum(spreads)])
    return Estimate(mean, mean - half, mean + half, by_process)


def grid_p(values: NDArray[np.float64]) -> float | None:
    """Two-sided p of a mean of 0 of values[seed, process]: below 1 - LEVEL where `grid_interval` leaves 0 out.

    None where that gives no interval, and where the values never vary, which says nothing of their noise.
    """
    return _mean_p(float(values.mean()), _factors(values))


def apart_grids_p(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Two-sided p of equal means, each over seeds and processes of its own, so that all their variances add.

    Never surer than any of those alone (Welch's test, with Satterthwaite's degrees of freedom).
    """
    return _mean_p(float(one.mean() - other.mean()), [*_factors(one), *_factors(other)])


def _mean_p(mean: float, spreads: Sequence[Spread]) -> float | None:
    if max((error for error, _ in spreads), default=0.0) < STILL:
        return None
    return max(p_of(mean, error, df) for error, df in [*spreads, _sum(spreads)])


def _factors(values: NDArray[np.float64]) -> list[Spread]:
    """Standard error and degrees of freedom of the mean, once over seeds and once over processes.

    A factor with fewer than FEWEST levels is left out.
    """
    means = (values.mean(axis=1).tolist(), values.mean(axis=0).tolist())
    return [spread_of(several) for several in means if len(several) >= FEWEST]


def _sum(spreads: Sequence[Spread]) -> Spread:
    variance = sum(error**2 for error, _ in spreads)
    uncertainty = sum(error**4 / df for error, df in spreads)
    return math.sqrt(variance), variance**2 / uncertainty if uncertainty > 0 else math.inf
