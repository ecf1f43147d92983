"""The level in the limit of normal noise and many examples, by integration: no chance in it, every mix of noises."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIXES = (0.0, *np.geomspace(0.01, 100, 81).tolist())
"""Variance of the mean from the examples over that from the seeds."""
POINTS = 20_000


def levels(seeds: int, mix: float) -> NDArray[np.float64]:
    """Chance that t over seeds, crossed Hillis, and the wider of both reject what is equal, nominal 5 %.

    With S the seeds' mean square over its expectation, the mean has variance 1 + mix and each procedure's squared half
    width is a function of S alone, for many examples tell their own part exactly.
    """
    square = stats.chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, seeds - 1) / (seeds - 1)
    by_seeds = stats.t.ppf(0.975, seeds - 1) ** 2 * square
    crossed = stats.t.ppf(0.975, (seeds - 1) * (1 + mix / square) ** 2) ** 2 * (square + mix)
    halves = (by_seeds, crossed, np.maximum(by_seeds, crossed))
    return np.array([2 * stats.norm.sf(np.sqrt(half / (1 + mix))).mean() for half in halves])


def worst(seeds: int) -> NDArray[np.float64]:
    """The highest level of each procedure over all mixes."""
    return np.max([levels(seeds, mix) for mix in MIXES], axis=0)
