"""Accuracy against accuracy: what is within the tolerance, what chance explains, what it does not."""

import numpy as np
import pytest

from kdbench.check.scores import Judged, compared
from kdbench.evidence.differences import sign_test
from kdbench.metrics.accuracy import Accuracy


def right(new: list[int], reference: list[int], count: int) -> np.ndarray:
    """[seed, side, example] from how many each seed of each side gets wrong; always the same first examples."""
    wrong = np.array([new, reference]).T[:, :, None]
    return (np.broadcast_to(np.arange(count), (len(new), 2, count)) >= wrong).astype(float)


def _compared(each: np.ndarray, limit: float) -> Judged:
    return compared(Accuracy(), each, limit)


def test_a_sign_test_is_the_binomials_tail() -> None:
    assert sign_test(8, 1) == pytest.approx((9 + 1) / 2**9)
    assert sign_test(0, 5) == 1.0
    assert sign_test(5, 5) > 0.5


def test_a_drop_within_the_tolerance_is_ok_however_certain() -> None:
    verdict, said, numbers = _compared(right([40], [0], 10_000), 0.005)
    assert verdict == "ok"
    assert numbers["value"] == pytest.approx(0.004)
    assert said == "99.60 % right against 100.00 % (10,000 test examples): −0.40 points; 0.50 may be lost."


def test_a_drop_beyond_it_is_less_accurate_once_chance_does_not_explain_it() -> None:
    verdict, said, _ = _compared(right([60], [0], 1000), 0.005)
    assert verdict == "less accurate"
    assert said.endswith("−6.00 points; 0.50 may be lost, and chance does not explain it (p < 0.001).")


def test_a_few_examples_are_chance() -> None:
    verdict, said, _ = _compared(right([6], [0], 400), 0.005)  # 1/64 of equal files lose all six
    assert verdict == "cannot tell"
    assert said.endswith("but this could be chance (p = 0.016, 0.005 would tell).")


def test_a_gain_is_ok() -> None:
    verdict, said, numbers = _compared(right([0], [60], 1000), 0.0)
    assert verdict == "ok"
    assert numbers["value"] == pytest.approx(-0.06)
    assert "+6.00 points" in said


def test_one_bad_seed_of_five_is_chance_and_five_are_not() -> None:
    one = _compared(right([100, 10, 10, 10, 10], [10] * 5, 1000), 0.005)
    all_five = _compared(right([100, 95, 105, 98, 102], [10] * 5, 1000), 0.005)
    assert one[0] == "cannot tell"
    assert all_five[0] == "less accurate"
    assert all_five[2]["low"] is not None
    assert all_five[2]["low"] > 0


def test_equal_predictions_have_no_doubt() -> None:
    verdict, _, numbers = _compared(right([10] * 3, [10] * 3, 1000), 0.0)
    assert (verdict, numbers["value"], numbers["low"], numbers["high"]) == ("ok", 0.0, 0.0, 0.0)
