"""The gate's rule on numbers: what it says of processes that agree, that lie apart, and of those drawn from noise."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.timing.verdict_rule import after_first, after_second, spread

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
RATIO = 1.03


def percent(*slower: float) -> list[float]:
    return [math.log(1 + value / 100) for value in slower]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ((0.1, -0.2, 0.3), "ok"),
        ((-9.8, -10, -10.3), "ok"),  # much faster
        ((1.3, 1.4, 1.3), "ok"),
        ((1.6, 1.6, 1.6), None),  # above half the limit
        ((0.1, 0.0, 3.1), None),  # one process saw a slow-down
        ((-3, 0.0, 1), None),  # too far apart to have shown one
        ((3, 3, 3), None),
    ],
)
def test_stage_one_is_enough_only_where_a_slow_down_would_have_shown(
    first: tuple[float, ...], expected: str | None
) -> None:
    assert after_first(percent(*first), RATIO) == expected


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((3, 3.1, 2.9, 3, 3, 3, 3), "slower"),
        ((3, 3.1, 2.9, -6, 3, 3, 3), "slower"),  # one wild process does not hide it
        ((3, 3.1, -1, -6, 3, 3, 3), "cannot tell"),
        ((2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1), "slower"),
        ((1.8, 1.8, 1.8, 1.8, 1.8, 1.8, 1.8), "ok"),  # surely below the limit, though not nothing
        ((0.1, 0.0, 0.2, -0.1, 0.0, 0.3, 9), "ok"),
        ((0.1, 0.0, 0.2, -0.1, 0.0, 8, 9), "cannot tell"),
        ((12, 1, 9, 3, 20, 5, 16), "cannot tell"),  # all above 0, but they agree on nothing
        ((40, 38, 44, 41, 39, 50, 36), "slower"),  # far apart, and yet far from 0
    ],
)
def test_stage_two_alone_decides(second: tuple[float, ...], expected: str) -> None:
    assert after_second(percent(3, 3, 3), percent(*second), RATIO) == expected


def test_a_slow_down_that_stage_one_saw_the_other_way_round_is_none() -> None:
    slow = percent(3, 3, 3, 3, 3, 3, 3)
    assert after_second(percent(-4, -1, 3), slow, RATIO) == "cannot tell"


def test_the_line_moves_with_the_tolerance() -> None:
    assert after_first(percent(3, 3, 3), 1.10) == "ok"
    assert after_second(percent(8, 8, 8), percent(*[8] * 7), 1.10) == "slower"
    assert after_second(percent(8, 8, 8), percent(*[8] * 7), 1.15) == "ok"


def test_the_range_leaves_the_ends_out_only_where_there_are_enough() -> None:
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert spread([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, -9.0]) == (3.0, 1.0, 5.0)


def quiet(draw: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """ResNet-20 in one process beside another load."""
    return draw.normal(0, 0.0025, shape)


def tailed(draw: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """MobileNetV3 on the same machine: 2.0 % in all, 0.6 % without the tails."""
    wild = draw.random(shape) < 0.1
    return np.where(wild, draw.normal(0, 0.06, shape), draw.normal(0, 0.006, shape))


def wild(draw: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return draw.normal(0, 0.05, shape)


def rates(noise: Draw, slower: float, count: int = 3000) -> dict[str, float]:
    """How often the whole rule says what, of files so much slower."""
    draw = np.random.default_rng(11)
    true = math.log(1 + slower)
    said: Counter[str] = Counter()
    pairs = zip((true + noise(draw, (count, 3))).tolist(), (true + noise(draw, (count, 7))).tolist(), strict=True)
    for first, second in pairs:
        said[after_first(first, RATIO) or after_second(first, second, RATIO)] += 1
    return {verdict: said[verdict] / count for verdict in ("slower", "ok", "cannot tell")}


@pytest.mark.parametrize("noise", [quiet, tailed])
def test_equal_files_raise_no_alarm_and_three_per_cent_is_seen(noise: Draw) -> None:
    assert rates(noise, 0.0)["slower"] < 0.005
    assert rates(noise, 0.0)["ok"] > 0.985
    assert rates(noise, 0.03)["slower"] > 0.95
    assert rates(noise, 0.03)["ok"] < 0.005
    assert rates(noise, 0.05)["slower"] > 0.97


def test_where_noise_drowns_everything_it_says_so() -> None:
    equal, slow = rates(wild, 0.0), rates(wild, 0.03)
    assert equal["slower"] < 0.01
    assert slow["ok"] < 0.08
    assert min(equal["cannot tell"], slow["cannot tell"]) > 0.65
