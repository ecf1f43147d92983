"""All pairs at once say what is said of each pair alone."""

from itertools import combinations, product

import numpy as np
import pytest

from kdbench.evidence import differences, grids
from kdbench.evidence.pairs import (
    apart_grid_pairs,
    crossed_pairs,
    example_halves,
    grid_pairs,
    seed_pairs,
    told_apart,
)


def p_of(found: float | None) -> float:
    return np.nan if found is None else found


@pytest.mark.parametrize(("seeds", "examples"), [(3, 50), (5, 200), (8, 20), (3, 1)])
def test_differences_in_accuracy_are_those_of_each_pair_alone(seeds: int, examples: int) -> None:
    right = (np.random.default_rng(0).random((7, seeds, examples)) < 0.9).astype(np.float64)
    right[3] = right[2]
    found = crossed_pairs(right)
    for one, other in product(range(7), repeat=2):
        alone = differences.paired_difference(right[one] - right[other])
        assert found.half[one, other] == pytest.approx(alone.half, rel=1e-10, abs=1e-15)
        assert found.p[one, other] == pytest.approx(alone.p, rel=1e-10)


def test_without_predictions_they_are_those_of_the_seeds() -> None:
    rates = np.array([[0.9, 0.91, 0.95], [0.9, 0.91, 0.95], [0.8, 0.81, 0.85], [0.7, 0.9, 0.8]])
    found = seed_pairs(rates)
    for one, other in product(range(4), repeat=2):
        alone = differences.seed_difference((rates[one] - rates[other]).tolist())
        assert found.p[one, other] == pytest.approx(p_of(alone.p), nan_ok=True)
        assert found.half[one, other] == (np.inf if alone.half is None else pytest.approx(alone.half))


def test_two_seeds_have_no_interval() -> None:
    found = crossed_pairs(np.ones((2, 2, 9)))
    assert np.isinf(found.half).all()
    assert np.isnan(found.p).all()


def test_over_examples_alone_one_more_wrong_of_a_hundred() -> None:
    """d is 0.01 on average: sd sqrt(0.01 - 0.0001) * sqrt(100/99) = 0.1, over sqrt(100) 0.01, times 1.96."""
    right = np.ones((2, 1, 100))
    right[1, 0, 7] = 0
    assert example_halves(right)[0, 1] == pytest.approx(0.0196, rel=1e-4)


@pytest.mark.parametrize(("seeds", "processes"), [(3, 5), (1, 3), (5, 2), (2, 2)])
def test_latencies_are_those_of_each_pair_alone(seeds: int, processes: int) -> None:
    logs = np.random.default_rng(1).standard_normal((6, seeds, processes))
    logs[4], logs[5] = logs[3], logs[3] + 0.5
    together, apart = grid_pairs(logs), apart_grid_pairs(list(logs))
    for one, other in product(range(6), repeat=2):
        paired = grids.grid_p(logs[one] - logs[other])
        assert together[one, other] == pytest.approx(p_of(paired), rel=1e-9, nan_ok=True)
        assert apart[one, other] == pytest.approx(
            p_of(grids.apart_grids_p(logs[one], logs[other])), rel=1e-9, nan_ok=True
        )


def test_told_apart_is_holms_adjustment_of_the_pairs_that_have_a_p() -> None:
    p = np.random.default_rng(2).random((9, 9)) ** 6
    p = np.triu(p, 1) + np.triu(p, 1).T
    p[2, 5] = p[5, 2] = np.nan
    pairs = list(combinations(range(9), 2))
    adjusted = differences.holm([None if np.isnan(p[pair]) else float(p[pair]) for pair in pairs])
    found = told_apart(p)
    assert 0 < found.sum() < 72
    assert not found.diagonal().any()
    for (one, other), its in zip(pairs, adjusted, strict=True):
        assert found[one, other] == found[other, one] == (its is not None and its < 0.05)
