"""Paired differences of two cases, their intervals, tests and adjustment, as plain functions of numbers.

Sources
Obuchowski, Rockette 1995: both readers and cases random and crossed; here they are training seeds and test examples.
Hillis 2007 (Statistics in Medicine 26): the degrees of freedom of that model, ddf_H.
Gallas, Bandos, Samuelson, Wagner 2009: the variance of a mean over two crossed random factors.
Holm 1979: the step-down adjustment.
McNemar 1947: two files' answers to the same examples.

`python tests/studies/simulation` shows the level of each and what it can see (report/statistics/interval-level.md; of
metrics that are no share of examples report/statistics/metric-levels.md).
The seed variance is not pooled over cases: over seeds a quantized student goes with its baseline, a distilled one its
own way, and a variance pooled over both tells equal cases apart in 12 to 16 % (that page's section on pooling).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from kdbench.evidence.intervals import FEWEST, LEVEL, Spread, informed_df, p_of, quantile, spread_of

HANDFUL = 20
"""Below so many degrees of freedom the examples that differ are too few to trust their spread."""


@dataclass(frozen=True)
class Difference:
    """A paired difference of two cases (case minus other), in the metric's own unit.

    `p` is two-sided; it is None where there is no interval.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    values: tuple[float, ...]
    """One difference a seed."""
    example_count: int
    """Examples it is paired on; 0 where predictions are missing and seeds alone are paired."""
    adjusted_p: float | None = None
    """Holm's, within the family it was adjusted in."""
    untold: str | None = None
    """Why there is no p though there are seeds enough."""

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def counts(self) -> bool:
        """Whether the adjusted p is below 1 - LEVEL."""
        return self.adjusted_p is not None and self.adjusted_p < 1 - LEVEL


def influence_difference(differences: NDArray[np.float64], tested: NDArray[np.float64]) -> Difference:
    """`paired_difference` of pseudo-values that are no zeros and ones: a few examples may carry all of a difference.

    differences: d[seed, example], by which value and interval are; tested: the same on the scale of the test. The
    degrees of freedom of the examples are informed by the differences, and where a handful decides, nothing is told.
    """
    found = paired_difference(differences, guarded=True)
    if informed_df(differences.mean(axis=0)) < HANDFUL:
        return replace(found, p=None, untold="a handful of examples decides")
    if tested is differences or len(differences) < FEWEST:
        return found
    return replace(found, p=paired_difference(tested, guarded=True).p)


def examples_difference(differences: NDArray[np.float64]) -> Difference:
    """Mean, interval and p of d[seed, example] over test examples alone: these files, other data."""
    columns = differences.mean(axis=0)
    mean, df = float(columns.mean()), informed_df(columns)
    error = float(columns.std(ddof=1)) / math.sqrt(len(columns)) if len(columns) > 1 else math.inf
    half, by_seed = quantile(df) * error, tuple(differences.mean(axis=1).tolist())
    p = p_of(mean, error, df) if math.isfinite(error) else 1.0
    return Difference(mean, mean - half, mean + half, p, by_seed, len(columns))


def paired_difference(differences: NDArray[np.float64], guarded: bool = False) -> Difference:
    """Mean, interval and p of d[seed, example], the differences in correctness, over seeds and examples crossed.

    The variance of the mean is s2_seed/n + s2_example/m - s2_residual/(nm), the part of the examples not below zero;
    the degrees of freedom are Hillis's, and at most m - 1. Never narrower than the t interval over seeds alone:
    with 3 seeds Hillis's by itself rejects up to 7.9 % where 5 % are meant, for its degrees of freedom grow just when
    the seeds came out alike by chance; the wider of both at most 5.7 %, for any mix of the two noises (normal limit).
    Nor narrower than the residual alone gives, which no estimate of the seeds' own variance can undercut: else three
    seeds that lose one example each, never the same, would be certain of their loss.
    guarded: the degrees of freedom of the examples are at most those that `informed_df` finds, in place of m - 1.
    """
    n, m = differences.shape
    by_seed = differences.mean(axis=1)
    mean = float(by_seed.mean())
    if n < FEWEST:
        return Difference(mean, None, None, None, tuple(by_seed.tolist()), m)
    seeds = spread_of(by_seed.tolist())
    most = informed_df(differences.mean(axis=0)) if guarded else float(m - 1)
    spreads = [seeds, *_crossed(differences, most)] if m > 1 else [seeds]
    half = max(quantile(df) * error for error, df in spreads)
    p = max(p_of(mean, error, df) for error, df in spreads)
    return Difference(mean, mean - half, mean + half, p, tuple(by_seed.tolist()), m)


def sign_test(lost: int, won: int) -> float:
    """How often chance alone loses as many or more: P(Binomial(lost + won, 1/2) >= lost), exact and one-sided.

    Of two files' answers to the same examples, `lost` those that only the first got right, `won` only the second: the
    exact form of McNemar's test.
    """
    return 1.0 if lost == 0 else float(bdtrc(lost - 1, lost + won, 0.5))


def seed_difference(values: Sequence[float]) -> Difference:
    """Paired on seeds alone, where there are no predictions to pair examples by.

    The same difference in every seed says nothing of its noise, so it has no interval: accuracies come in steps of one
    example, and three equal steps are no rarity.
    """
    steps = {round(value, 9) for value in values}
    if len(steps) == 1 and steps != {0.0}:
        return Difference(float(values[0]), None, None, None, tuple(values), 0)
    return replace(paired_difference(np.asarray(values, dtype=np.float64)[:, None]), example_count=0)


def _crossed(d: NDArray[np.float64], most: float) -> tuple[Spread, Spread]:
    """Standard error of the mean and degrees of freedom, from the mean squares of a two-way layout without repeats.

    First with both noises, then with the residual alone. most: the most degrees of freedom that the examples have.
    """
    n, m = d.shape
    rows, columns = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True)
    seed_square = m * float(rows.var(ddof=1))
    example_square = n * float(columns.var(ddof=1))
    residual_square = float(np.square(d - rows - columns + d.mean()).sum()) / ((n - 1) * (m - 1))
    total = seed_square + max(example_square - residual_square, 0.0)
    df = (n - 1) * (total / seed_square) ** 2 if seed_square > 0 else math.inf
    return (math.sqrt(total / (n * m)), min(df, most)), (math.sqrt(residual_square / (n * m)), most)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p of one family; comparisons without a p are not part of it."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted
