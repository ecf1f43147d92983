"""p values of many tables at once, by procedures written apart from kdbench's; and kdbench's own, table by table."""

import numpy as np
from crossed import Tables
from numpy.typing import NDArray
from scipy import stats

from kdbench.evidence.differences import paired_difference

Values = NDArray[np.float64]
RESAMPLES = 300
ENDLESS = 1e6
"""Degrees of freedom beyond which F is as good as normal, and scipy's not defined."""


def mean_squares(d: Tables) -> tuple[Values, Values, Values]:
    """Mean squares of seeds, examples and residual in the two-way layout without repeats, by table."""
    _, n, m = d.shape
    total = np.einsum("tij,tij->t", d, d)
    correction = d.sum(axis=(1, 2)) ** 2 / (n * m)
    seeds = np.square(d.sum(axis=2)).sum(axis=1) / m - correction
    examples = np.square(d.sum(axis=1)).sum(axis=1) / n - correction
    rest = np.maximum(total - correction - seeds - examples, 0.0)
    return seeds / (n - 1), examples / (m - 1), rest / ((n - 1) * (m - 1))


def over_seeds(d: Tables) -> Values:
    """The t test on the seeds' means."""
    means, n = d.mean(axis=2), d.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        t = means.mean(axis=1) / (means.std(axis=1, ddof=1) / np.sqrt(n))
    return _known(2 * stats.t.sf(np.abs(t), n - 1))


def hillis(d: Tables, seed_square: Values | None = None, seed_df: float | None = None) -> Values:
    """Obuchowski and Rockette's F with Hillis's degrees of freedom; `seed_square` where it comes from elsewhere."""
    _, n, m = d.shape
    own, examples, rest = mean_squares(d)
    seeds = own if seed_square is None else seed_square
    numerator = n * m * d.mean(axis=(1, 2)) ** 2
    denominator = seeds + np.maximum(examples - rest, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.minimum((seed_df or n - 1) * (denominator / seeds) ** 2, ENDLESS)
        return _known(stats.f.sf(numerator / denominator, 1, df))


def residual_alone(d: Tables) -> Values:
    """The t test with no more than the residual's variance: what is left when neither noise is made out."""
    _, n, m = d.shape
    rest = mean_squares(d)[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _known(2 * stats.t.sf(np.abs(d.mean(axis=(1, 2))) / np.sqrt(rest / (n * m)), m - 1))


def used(d: Tables) -> Values:
    """What kdbench does."""
    ps = [paired_difference(table).p for table in d]
    return np.array([1.0 if p is None else p for p in ps])


def bootstrap(rng: np.random.Generator, d: Tables) -> NDArray[np.bool_]:
    """Whether the percentile interval over resampled seeds and examples leaves out zero; one set of draws for all."""
    _, n, m = d.shape
    seeds = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    examples = rng.multinomial(m, np.full(m, 1 / m), RESAMPLES) / m
    means = ((d @ examples.T) * seeds.T).sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return (low > 0) | (high < 0)


def _known(p: Values) -> Values:
    """A table without any noise or difference has no p: nothing is rejected."""
    return np.nan_to_num(p, nan=1.0)
