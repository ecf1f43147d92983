"""Intervals and differences against numbers worked out by hand, and a published analysis.

Their level is simulated in tests/studies/simulation.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from kdbench.evidence import differences, grids, intervals


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
    found = differences.paired_difference(d)
    assert found.value == pytest.approx(0.5)
    assert found.high is not None
    assert found.high - found.value == pytest.approx(3.182446 * math.sqrt(1 / 18), rel=1e-6)
    assert found.p == pytest.approx(0.124, abs=5e-4)


def _with_mean_squares(n: int, m: int, mean: float, squares: tuple[float, float, float]) -> NDArray[np.float64]:
    """A table n x m with this mean and these mean squares of seeds, examples and residual."""
    seed, example = np.arange(n) - (n - 1) / 2, np.arange(m) - (m - 1) / 2
    parts = (np.outer(seed, np.ones(m)), np.outer(np.ones(n), example), np.outer(seed, example))
    dfs = (n - 1, m - 1, (n - 1) * (m - 1))
    scaled = [part * math.sqrt(s * df / np.square(part).sum()) for part, s, df in zip(parts, squares, dfs, strict=True)]
    table: NDArray[np.float64] = mean + np.sum(scaled, axis=0)
    return table


def test_the_published_analysis_of_a_reader_study_comes_out() -> None:
    """Van Dyke et al. 1993 (5 readers, 114 patients, 2 modalities), as the README of the R package MRMCaov prints it.

    MS(T:R) = 0.0005510306, Cov2 - Cov3 = 0.0003440748 - 0.0002390284; estimate -0.04380032, standard error 0.02074862,
    15.25967 degrees of freedom, interval -0.0879595 to 0.0003589, p = 0.05166569. Two modalities' differences have
    twice MS(T:R) as the variance of their readers' means, and 2 (Cov2 - Cov3) as what the patients add to it.
    """
    n, m = 5, 114
    readers, patients = 2 * m * 0.0005510306, 2 * n * m * (0.0003440748 - 0.0002390284)
    rest = 2 * m * (0.0008022883 - 0.0003466137 - 0.0003440748 + 0.0002390284)
    found = differences.paired_difference(_with_mean_squares(n, m, -0.04380032, (readers, patients + rest, rest)))
    assert (found.low, found.high) == pytest.approx((-0.0879594986, 0.0003588544), abs=1e-8)
    assert found.p == pytest.approx(0.05166569, abs=1e-7)


def test_the_interval_is_never_narrower_than_the_one_over_seeds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        d = rng.integers(-1, 2, (3, 40)).astype(np.float64)
        found, by_seed = differences.paired_difference(d), intervals.mean_interval(d.mean(axis=1).tolist())
        assert found.high is not None
        assert by_seed.half is not None
        assert found.high - found.value >= by_seed.half - 1e-12


def test_equal_predictions_do_not_differ() -> None:
    found = differences.paired_difference(np.zeros((3, 10)))
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_one_difference_in_every_seed_says_nothing_of_its_noise() -> None:
    """Without predictions: three seeds one example of 360 apart, as happens by chance."""
    found = differences.seed_difference([0.972 - 0.9692, 0.975 - 0.9722, 0.9694 - 0.9666])
    assert (found.low, found.high, found.p) == (None, None, None)
    assert differences.seed_difference([0.0, 0.0, 0.0]).p == 1.0


def test_both_seeds_and_processes_widen_an_interval() -> None:
    """[[1, 2, 3], [2, 3, 4], [3, 4, 5]]: each way three means with sd 1, so the variances of the mean, 1/3 each, add.

    Satterthwaite: (2/3)^2 / (2 (1/3)^2 / 2) = 4 degrees of freedom, t 2.776445; so t over either, 4.302653 sqrt(1/3),
    is wider. With nine of each: 2/9 in place of 1/9 with 16 degrees for 8, and now the sum is wider.
    """
    small = grids.grid_interval(np.add.outer(np.arange(3.0), np.arange(1.0, 4.0)))
    assert (small.value, small.values) == (3.0, (2.0, 3.0, 4.0))
    assert small.half == pytest.approx(4.302653 * math.sqrt(1 / 3), rel=1e-6)
    nine = (np.arange(9.0) - 4) / math.sqrt(7.5)
    large = grids.grid_interval(np.add.outer(nine, nine))
    assert large.half == pytest.approx(2.119905 * math.sqrt(2 / 9), rel=1e-6)


def test_a_grid_with_few_seeds_is_an_interval_over_processes() -> None:
    grid = np.array([[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]])
    assert grids.grid_interval(grid).half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert grids.grid_interval(grid[:, :2]).half is None


def test_two_seeds_give_values_and_no_p() -> None:
    found = differences.paired_difference(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert found.p is None
    assert found.values == (0.5, 0.0)


def test_holm_worked_out_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.04 times 3, 2, 1; a comparison without p is not in the family."""
    assert differences.holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert differences.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_noise_of_360_examples_at_97_per_cent_is_about_1_8_points() -> None:
    assert intervals.example_half(0.97, 360) == pytest.approx(0.0176, abs=2e-4)


def test_seeds_that_lose_one_example_each_never_the_same_are_not_certain_of_it() -> None:
    d = np.zeros((3, 360))
    d[[0, 1, 2], [10, 20, 30]] = -1
    found = differences.paired_difference(d)
    # three losses among 1,080 draws: standard error sqrt(3) / 1080, as of a count of three
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.967 * 3**0.5 / 1080, rel=0.01)
    assert found.low < found.value < found.high
    assert found.p is not None
    assert found.p > 0.05


@pytest.mark.parametrize(("count", "of"), [(3, 40), (20, 40), (39, 40)])
def test_a_rate_has_the_exact_interval_of_the_binomial(count: int, of: int) -> None:
    expected = binomtest(count, of).proportion_ci(confidence_level=0.95, method="exact")
    assert intervals.rate_interval(count, of) == pytest.approx((expected.low, expected.high))


def test_nothing_counted_bounds_a_rate_on_one_side() -> None:
    """(1 - p)^40 = 0.05."""
    assert intervals.rate_interval(0, 40) == pytest.approx((0.0, 1 - 0.05 ** (1 / 40)))
    assert intervals.rate_interval(40, 40) == pytest.approx((0.05 ** (1 / 40), 1.0))


def test_a_file_that_is_right_on_every_example_is_not_said_to_be_so_for_certain() -> None:
    found = intervals.example_interval(1.0, np.ones(80))
    assert (found.low, found.high) == pytest.approx((0.05 ** (1 / 80), 1.0))  # 96.3 %: the rule of three says 3/80 less
    assert intervals.example_half(1.0, 80) == pytest.approx(1 - 0.05 ** (1 / 80))
