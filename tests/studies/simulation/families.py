"""Many comparisons at once: how often a family of equal cases is torn apart, and what a pooled seed variance does."""

from itertools import combinations

import numpy as np
from crossed import DIFFICULTY_SD, Setting, Tables, answers, level
from numpy.typing import NDArray
from procedures import Values, hillis, mean_squares, over_seeds
from scipy import stats
from scipy.special import expit

from kdbench.evidence.differences import holm, paired_difference
from kdbench.evidence.groups import letters

CASES = 9
KINDS = {"quantized": (0.02, 0.05), "distilled": (0.25, 1.0)}
"""Seed sd and own sd (logit) beside the baseline: int8 is the baseline's network but for rounding."""


def torn(rng: np.random.Generator, setting: Setting, count: int) -> NDArray[np.bool_]:
    """[family, 2] of CASES equal cases: whether a comparison with the first counts; whether letters differ."""
    found = []
    for _ in range(count):
        right = answers(rng, setting, 1, CASES)[0].astype(np.float64)
        p = {pair: paired_difference(right[pair[0]] - right[pair[1]]).p for pair in combinations(range(CASES), 2)}
        found.append((_counts([p[pair] for pair in p if pair[0] == 0]), _letters_differ(p)))
    return np.array(found)


def _counts(ps: list[float | None]) -> bool:
    return any(p is not None and p < 0.05 for p in holm(ps))


def _letters_differ(ps: dict[tuple[int, int], float | None]) -> bool:
    apart = np.zeros((CASES, CASES), dtype=np.bool_)
    for (one, other), p in zip(ps, holm(list(ps.values())), strict=True):
        apart[one, other] = apart[other, one] = p is not None and p < 0.05
    return len(set(letters([str(case) for case in range(CASES)], apart).values())) > 1


def student(rng: np.random.Generator, seeds: int, kinds: list[str], count: int, examples: int = 360) -> list[Tables]:
    """Differences to one baseline of cases as accurate as it; all see the same draws, so like networks err alike."""
    difficulty = DIFFICULTY_SD * rng.standard_normal((count, 1, examples))
    drawn = rng.random((count, seeds, examples))
    baseline = _right(drawn, difficulty, DIFFICULTY_SD)
    return [_right(*_varied(rng, kind, drawn, difficulty)) - baseline for kind in kinds]


def _varied(rng: np.random.Generator, kind: str, drawn: Values, difficulty: Values) -> tuple[Values, Values, float]:
    seed_sd, own_sd = KINDS[kind]
    count, seeds, examples = drawn.shape
    own = own_sd * rng.standard_normal((count, 1, examples)) + seed_sd * rng.standard_normal((count, seeds, 1))
    fresh = rng.random(drawn.shape) if kind == "distilled" else drawn
    return fresh, difficulty + own, float(np.hypot(np.hypot(DIFFICULTY_SD, own_sd), seed_sd))


def _right(drawn: Values, logits: Values, sd: float) -> Values:
    right: Values = (drawn < expit(level(0.95, sd) + logits)).astype(np.float64)
    return right


def pooled_rejections(family: list[Tables]) -> tuple[list[float], list[float]]:
    """Each case's rejections with its own seed variance, and with that of the whole family: the wider of both each."""
    n = family[0].shape[1]
    square = np.mean([mean_squares(d)[0] for d in family], axis=0)
    df = (n - 1) * len(family)
    own = [float(np.mean(np.maximum(over_seeds(d), hillis(d)) < 0.05)) for d in family]
    pooled = [float(np.mean(np.maximum(_t(d, square, df), hillis(d, square, df)) < 0.05)) for d in family]
    return own, pooled


def _t(d: Tables, square: Values, df: int) -> Values:
    _, n, m = d.shape
    p: Values = stats.f.sf(n * m * d.mean(axis=(1, 2)) ** 2 / square, 1, df)
    return p
