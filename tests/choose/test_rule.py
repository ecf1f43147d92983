"""The rule on numbers worked out by hand: limits, who is alike, fastest, smallest, most accurate."""

import math

import numpy as np
import pytest

from kdbench.choose.rule import NOBODY, Numbers, Rule

HALF = 0.02


def numbers(accuracy: list[float], microseconds: list[float], kilobytes: list[float]) -> Numbers:
    of = np.array(kilobytes)
    return Numbers(np.array([accuracy]), np.log([microseconds]), of, {"bytes": of})


def rule(count: int, latency_half: float = 0.0, **bounds: float) -> Rule:
    return Rule(bounds, np.full((count, count), HALF), np.full(count, latency_half))


@pytest.mark.parametrize(
    ("accuracy", "microseconds", "kilobytes", "picked"),
    [
        ([0.90, 0.89, 0.85], [100, 50, 10], [1, 1, 1], 1),  # the third is 5 points below: fast, not alike
        ([0.90, 0.88, 0.85], [100, 50, 10], [1, 1, 1], 1),  # exactly at the interval's end is alike
        ([0.90, 0.89, 0.88], [50, 50.3, 49.9], [9, 5, 7], 1),  # within 1 % nobody is faster: the smallest
        ([0.90, 0.89, 0.88], [50, 50.0, 50.0], [5.04, 5, 5], 0),  # sizes within 1 % neither: the most accurate
        ([0.90, 0.90, 0.90], [50, 40, 40], [5, 5, 5], 1),  # equals: the first
    ],
)
def test_the_pick(accuracy: list[float], microseconds: list[float], kilobytes: list[float], picked: int) -> None:
    assert rule(3).decide(numbers(accuracy, microseconds, kilobytes)).pick.tolist() == [picked]


def test_latencies_whose_intervals_share_a_point_are_equal() -> None:
    close = numbers([0.90, 0.90], [50, 55], [9, 1])
    assert rule(2, latency_half=0.01).decide(close).pick.tolist() == [0]
    assert rule(2, latency_half=math.log(1.1) / 2).decide(close).pick.tolist() == [1]
    assert rule(2, latency_half=math.inf).decide(close).pick.tolist() == [1]


def test_the_best_is_sought_among_those_that_fit() -> None:
    """The most accurate is too large; of the others the second is within 2 points of the first, the last is not."""
    found = rule(4, bytes=10).decide(numbers([0.99, 0.90, 0.89, 0.87], [1, 50, 40, 30], [11, 10, 9, 8]))
    assert found.fitting.tolist() == [[False, True, True, True]]
    assert found.alike.tolist() == [[False, True, True, False]]
    assert found.pick.tolist() == [2]


def test_where_nothing_fits_nobody_is_picked() -> None:
    found = rule(2, bytes=1).decide(numbers([0.9, 0.9], [1, 1], [2, 3]))
    assert found.pick.tolist() == [NOBODY]
    assert not found.alike.any()


def test_no_candidates_are_no_pick() -> None:
    assert rule(0).decide(numbers([], [], [])).pick.tolist() == [NOBODY]


def test_draws_are_decided_each_by_itself() -> None:
    random = np.random.default_rng(0)
    accuracy, latency = 0.9 + 0.03 * random.random((40, 6)), random.random((40, 6))
    half, sizes = HALF * random.random((6, 6)), random.random(6)
    its = Rule({"latency_p50": 0.8}, half + half.T, 0.1 * random.random(6))
    together = its.decide(Numbers(accuracy, latency, sizes, {"latency_p50": latency}))
    for draw in range(40):
        of = slice(draw, draw + 1)
        alone = its.decide(Numbers(accuracy[of], latency[of], sizes, {"latency_p50": latency[of]}))
        assert alone.pick[0] == together.pick[draw]
        assert (alone.alike[0] == together.alike[draw]).all()
