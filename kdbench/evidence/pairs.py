"""All pairs of cases at once: the statistics of `intervals`, for tables of many cases. Knows no records.

One pair at a time, 300 cases are 45,000 calls; here they are a few products of matrices. The formulas and their sources
are those of `intervals.paired_difference`, `grid_p` and `apart_grids_p`, and the tests hold the two to each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from kdbench.evidence.intervals import FEWEST, LEVEL, STILL, quantile

Array = NDArray[np.float64]
Spreads = list[tuple[Array, Array]]
"""Standard errors and degrees of freedom of a mean, an entry a pair: once for each way to see its noise."""


@dataclass(frozen=True)
class Pairs:
    """Tables [one, other] of the differences of two cases' means, one - other."""

    half: Array
    """Half of the interval at LEVEL; infinite where there is none."""
    p: Array
    """Two-sided p of no difference; NaN where there is no interval."""


def crossed_pairs(values: Array) -> Pairs:
    """Interval and p of `intervals.paired_difference` for every pair of cases, from values[case, seed, example].

    For zeros and ones (wrong and right answers) the sums of squares below are whole numbers, and exact.
    """
    n, m = values.shape[1:]
    if n < FEWEST:
        return _unknown(len(values))
    by_seed = values.sum(axis=2, dtype=np.float64)
    by_example = values.sum(axis=1, dtype=np.float64)
    totals = np.square(np.subtract.outer(by_seed.sum(axis=1), by_seed.sum(axis=1)))
    # n m times the sums of squares of a two-way layout without repeats: whole numbers where the values are
    rows = n * _squares(by_seed) - totals
    columns = m * _squares(by_example) - totals
    everything = n * m * sum(_squares(values[:, seed]) for seed in range(n)) - totals
    residual = np.maximum(everything - rows - columns, 0.0)
    size = n * m
    seed_square = rows / (size * (n - 1))
    mean = np.subtract.outer(by_seed.sum(axis=1), by_seed.sum(axis=1)) / size
    spreads: Spreads = [(np.sqrt(seed_square / size), np.full_like(mean, n - 1))]
    if m > 1:
        example_square = columns / (size * (m - 1))
        residual_square = residual / (size * (n - 1) * (m - 1))
        total = seed_square + np.maximum(example_square - residual_square, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(seed_square > 0, (n - 1) * np.square(total / seed_square), math.inf)
        most = np.full_like(mean, m - 1)
        spreads += [(np.sqrt(total / size), np.minimum(df, most)), (np.sqrt(residual_square / size), most)]
    return _worst(mean, spreads)


def seed_pairs(rates: Array) -> Pairs:
    """Interval and p of `intervals.seed_difference` for every pair, from rates[case, seed]."""
    if rates.shape[1] < FEWEST:
        return _unknown(len(rates))
    found = crossed_pairs(rates[:, :, None])
    steps = np.round(rates[:, None] - rates[None], 9)
    silent = (np.ptp(steps, axis=2) == 0) & (steps[:, :, 0] != 0)
    return Pairs(np.where(silent, math.inf, found.half), np.where(silent, math.nan, found.p))


def told_apart(p: Array) -> NDArray[np.bool_]:
    """Which pairs differ: Holm's adjusted p below 1 - LEVEL, in one family of all pairs that have a p.

    p is symmetric, NaN where a pair has none; its diagonal is no pair.
    """
    upper = np.triu_indices(len(p), 1)
    family = p[upper]
    known = np.flatnonzero(~np.isnan(family))
    order = known[np.argsort(family[known], kind="stable")]
    adjusted = np.maximum.accumulate(np.arange(len(order), 0, -1) * family[order])
    found = np.zeros(p.shape, dtype=np.bool_)
    found[upper[0][order], upper[1][order]] = adjusted < 1 - LEVEL
    apart: NDArray[np.bool_] = found | found.T
    return apart


def example_halves(values: Array) -> Array:
    """Half the normal interval of every pair's difference over examples alone, from values[case, seed, example].

    For too few seeds to say anything of their noise: their mean is taken as it is. Infinite for fewer than FEWEST
    examples.
    """
    n, m = values.shape[1:]
    if m < FEWEST:
        return np.full((len(values), len(values)), math.inf)
    by_example = values.sum(axis=1, dtype=np.float64)
    totals = np.square(np.subtract.outer(by_example.sum(axis=1), by_example.sum(axis=1)))
    squares = np.maximum(_squares(by_example) - totals / m, 0.0) / n**2
    half: Array = quantile(math.inf) * np.sqrt(squares / (m - 1) / m)
    return half


def grid_pairs(values: Array) -> Array:
    """`intervals.grid_p` of every pair's differences, from values[case, seed, process]; NaN where that is None."""
    mean = np.subtract.outer(values.mean(axis=(1, 2)), values.mean(axis=(1, 2)))
    spreads = []
    for means in (values.mean(axis=2), values.mean(axis=1)):
        if means.shape[1] >= FEWEST:
            differences = means[:, None] - means[None]
            error = differences.std(axis=2, ddof=1) / math.sqrt(means.shape[1])
            spreads.append((error, np.full_like(error, means.shape[1] - 1)))
    return _grid_p(mean, spreads)


def apart_grid_pairs(grids: Sequence[Array]) -> Array:
    """`intervals.apart_grids_p` of every pair, from grids[case][seed, process]; NaN where that is None."""
    count = len(grids)
    means = np.array([grid.mean() for grid in grids])
    spreads: Spreads = []
    for axis in (1, 0):
        # a factor with too few levels adds no noise that anybody knows; one degree of freedom keeps the sum defined
        alone = [_mean_spread(grid.mean(axis=axis)) for grid in grids]
        error, df = (np.broadcast_to([one[place] for one in alone], (count, count)) for place in (0, 1))
        spreads += [(error, df), (error.T, df.T)]
    return _grid_p(np.subtract.outer(means, means), spreads)


def _mean_spread(values: Array) -> tuple[float, float]:
    if len(values) < FEWEST:
        return 0.0, 1.0
    return float(values.std(ddof=1)) / math.sqrt(len(values)), float(len(values) - 1)


def _grid_p(mean: Array, spreads: Spreads) -> Array:
    """The largest p of each spread and of all together; NaN where nothing varies."""
    if not spreads:
        return np.full_like(mean, math.nan)
    variance = sum(np.square(error) for error, _ in spreads)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.square(variance) / sum(error**4 / df for error, df in spreads)
    together = (np.sqrt(variance), np.where(np.isnan(df), math.inf, df))
    still = np.max([error for error, _ in spreads], axis=0) < STILL
    return np.where(still, math.nan, _worst(mean, [*spreads, together]).p)


def _squares(rows: Array) -> Array:
    """[one, other]: the squared distance of every two rows."""
    products = rows @ rows.T
    own = np.diagonal(products)
    distances: Array = np.maximum(np.add.outer(own, own) - 2 * products, 0.0)
    return distances


def _worst(mean: Array, spreads: Spreads) -> Pairs:
    """The widest interval and the largest p."""
    half = np.max([stdtrit(df, (1 + LEVEL) / 2) * error for error, df in spreads], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [np.where(error > 0, 2 * stdtr(df, -np.abs(mean / error)), mean == 0) for error, df in spreads]
    return Pairs(half, np.max(found, axis=0))


def _unknown(count: int) -> Pairs:
    return Pairs(np.full((count, count), math.inf), np.full((count, count), math.nan))
