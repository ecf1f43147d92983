"""Intervals and differences against numbers worked out by hand, and the level of the paired interval by simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.evidence import intervals


def test_three_values_have_a_t_interval() -> None:
    """Mean 2, sd 1: half width 4.302653 / sqrt(3), the tabulated t of two degrees of freedom."""
    found = intervals.mean_interval([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.sd == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[1.0], [1.0, 3.0]])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    found = intervals.mean_interval(values)
    assert found.half is None
    assert found.values == tuple(values)


def test_a_crossed_difference_worked_out_by_hand() -> None:
    """Sums of squares 1/2 (seeds), 5/3 (examples), 5/6 (rest); so V = (1/4 + 5/9 - 5/36)/12 = 1/18, df = min(14.2, 3).

    The t interval over seeds alone, 4.302653 * 0.25/sqrt(3) = 0.621, is narrower and does not count.
    """
    d = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=np.float64)
    found = intervals.paired_difference(d)
    assert found.value == pytest.approx(0.5)
    assert found.high is not None
    assert found.high - found.value == pytest.approx(3.182446 * math.sqrt(1 / 18), rel=1e-6)
    assert found.p == pytest.approx(0.124, abs=5e-4)


def test_the_interval_is_never_narrower_than_the_one_over_seeds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        d = rng.integers(-1, 2, (3, 40)).astype(np.float64)
        found, by_seed = intervals.paired_difference(d), intervals.mean_interval(d.mean(axis=1).tolist())
        assert found.high is not None
        assert by_seed.half is not None
        assert found.high - found.value >= by_seed.half - 1e-12


def test_equal_predictions_do_not_differ() -> None:
    found = intervals.paired_difference(np.zeros((3, 10)))
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_two_seeds_give_values_and_no_p() -> None:
    found = intervals.paired_difference(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert found.p is None
    assert found.values == (0.5, 0.0)


def test_holm_worked_out_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.04 times 3, 2, 1; a comparison without p is not in the family."""
    assert intervals.holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert intervals.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_noise_of_360_examples_at_97_per_cent_is_about_1_8_points() -> None:
    assert intervals.example_half(0.97, 360) == pytest.approx(0.0176, abs=2e-4)


def _table(rng: np.random.Generator, seeds: int, seed_sd: float, examples: int = 360) -> NDArray[np.float64]:
    """Differences of two cases that are equally good: crossed logistic, as report.md's simulation."""
    difficulty = rng.normal(3.4, 2.0, examples)
    logits = difficulty + rng.normal(0, seed_sd, (2, seeds, 1))
    right = rng.random((2, seeds, examples)) < 1 / (1 + np.exp(-logits))
    difference: NDArray[np.float64] = right[0].astype(np.float64) - right[1]
    return difference


def _rejections(tables: int, seeds: int, seed_sd: float) -> float:
    rng = np.random.default_rng(7)
    ps = [intervals.paired_difference(_table(rng, seeds, seed_sd)).p for _ in range(tables)]
    return float(np.mean([p is not None and p < 0.05 for p in ps]))


def test_equal_cases_are_told_apart_about_as_rarely_as_promised() -> None:
    """400 tables: three standard errors above 5 % are 8.3 %."""
    assert 0.01 < _rejections(400, seeds=3, seed_sd=0.15) < 0.083


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("seed_sd", [0.0, 0.15, 0.5])
def test_the_level_holds_over_seeds_and_their_spread(seeds: int, seed_sd: float) -> None:
    """3,000 tables: report.md, section 2 gives 3.8 to 6.1 %; three standard errors are 1.2 %."""
    assert 0.025 < _rejections(3000, seeds, seed_sd) < 0.073
