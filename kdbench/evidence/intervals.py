"""Intervals, paired differences and their adjustment, as plain functions of numbers. Knows no records.

Sources
Obuchowski, Rockette 1995: both readers and cases random and crossed; here they are training seeds and test examples.
Hillis 2007 (Statistics in Medicine 26): the degrees of freedom of that model, ddf_H.
Gallas, Bandos, Samuelson, Wagner 2009: the variance of a mean over two crossed random factors.
Satterthwaite 1946: the degrees of freedom of a sum of variances.
Welch 1938: two means whose noise is independent and not alike.
Holm 1979: the step-down adjustment.
McNemar 1947: two files' answers to the same examples.
Clopper, Pearson 1934: the exact interval of a rate.
Zou, Donner 2008 (Statistics in Medicine 27): an interval from those of two parts measured apart.

`python tests/studies/simulation` shows the level of each and what it can see (report/statistics/interval-level.md).
The seed variance is not pooled over cases: over seeds a quantized student goes with its baseline, a distilled one its
own way, and a variance pooled over both tells equal cases apart in 12 to 16 % (that page's section on pooling).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, stdtr, stdtrit

Spread = tuple[float, float]
"""A mean's standard error and its degrees of freedom."""

LEVEL = 0.95
"""Confidence level of every interval."""
FEWEST = 3
"""Seeds (or processes) below which there is no interval; the values themselves are shown."""
HANDFUL = 20
"""Below so many degrees of freedom the examples that differ are too few to trust their spread."""
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
        """Half the width of a symmetric interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the two intervals share a point; unknown intervals overlap with everything."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Difference:
    """A paired difference of two cases' accuracy (rates, case minus other).

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
    error, df = _spread(values)
    half = quantile(df) * error
    return Estimate(mean, mean - half, mean + half, tuple(values))


def example_half(rate: float, example_count: int) -> float:
    """Half the normal interval of a rate over another draw of as many test examples: sqrt(p (1 - p) / m) times 1.96."""
    return quantile(math.inf) * math.sqrt(rate * (1 - rate) / example_count)


def example_interval(value: float, pseudo_values: NDArray[np.float64]) -> Estimate:
    """One file's value with the normal interval over another draw of as many test examples.

    pseudo_values: (n,), one an example; their spread is the value's (`kdbench.protocols.metric`). No interval below
    FEWEST examples.
    """
    if len(pseudo_values) < FEWEST:
        return Estimate(value, None, None, (value,))
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
    return max(_p_of(mean, error, df) for error, df in [*spreads, _sum(spreads)])


def _factors(values: NDArray[np.float64]) -> list[Spread]:
    """Standard error and degrees of freedom of the mean, once over seeds and once over processes.

    A factor with fewer than FEWEST levels is left out.
    """
    means = (values.mean(axis=1).tolist(), values.mean(axis=0).tolist())
    return [_spread(several) for several in means if len(several) >= FEWEST]


def _spread(values: Sequence[float]) -> Spread:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)), float(len(values) - 1)


def _sum(spreads: Sequence[Spread]) -> Spread:
    variance = sum(error**2 for error, _ in spreads)
    uncertainty = sum(error**4 / df for error, df in spreads)
    return math.sqrt(variance), variance**2 / uncertainty if uncertainty > 0 else math.inf


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
    p = _p_of(mean, error, df) if math.isfinite(error) else 1.0
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
    seeds = _spread(by_seed.tolist())
    most = informed_df(differences.mean(axis=0)) if guarded else float(m - 1)
    spreads = [seeds, *_crossed(differences, most)] if m > 1 else [seeds]
    half = max(quantile(df) * error for error, df in spreads)
    p = max(_p_of(mean, error, df) for error, df in spreads)
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


def _p_of(mean: float, error: float, df: float) -> float:
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return two_sided_p(mean / error, df)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p of one family; comparisons without a p are not part of it."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted
