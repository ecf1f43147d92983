"""Numbers drawn again: as far apart as the noise says, paired between cases, the same every time."""

from pathlib import Path

import numpy as np
import pytest
from by_hand import CPU, Given, Shelf
from numpy.typing import NDArray

from kdbench.choose.candidates import Lineup, lineup
from kdbench.choose.resamples import AT_ONCE, drawn, measured
from kdbench.evidence import evidence
from kdbench.results.records import CallSize
from kdbench.suite.limits import Limits

COUNT = 4000
Table = NDArray[np.float64]


def lined_up(folder: Path, cases: dict[str, Given], predictions: bool = True) -> Lineup:
    path = Shelf(folder / "results", cases, predictions=predictions).write()
    return lineup(evidence(path), (CPU, CallSize(1)), Limits())


def rates(everybody: Lineup, count: int = COUNT) -> Table:
    """[draw, candidate]"""
    return np.concatenate([numbers.goodness for numbers in drawn(everybody, count)])


def test_the_mean_of_few_processes_varies_as_their_spread_says(tmp_path: Path) -> None:
    """Variance s^2 / n, which n of n draws would miss by a third at n = 3."""
    times = (90.0, 100.0, 115.0)
    everybody = lined_up(tmp_path, {"from-scratch": Given(microseconds={CPU: times})})
    p50 = np.concatenate([numbers.limited["latency_p50"] for numbers in drawn(everybody, COUNT)])
    assert np.var(np.log(p50[:, 0])) == pytest.approx(np.var(np.log(times), ddof=1) / 3, rel=0.1)


def test_the_mean_of_few_seeds_varies_as_their_spread_says(tmp_path: Path) -> None:
    everybody = lined_up(tmp_path, {"from-scratch": Given(wrong=(10, 30, 44))}, predictions=False)
    expected = np.var(np.array([10, 30, 44]) / 400, ddof=1) / 3
    assert np.var(rates(everybody)[:, 0]) == pytest.approx(expected, rel=0.1)


def test_examples_are_drawn_too(tmp_path: Path) -> None:
    """Seeds that agree leave p (1 - p) / m."""
    everybody = lined_up(tmp_path, {"from-scratch": Given(wrong=(40, 40, 40))})
    assert np.var(rates(everybody)[:, 0]) == pytest.approx(0.1 * 0.9 / 400, rel=0.1)


@pytest.mark.parametrize("predictions", [True, False])
def test_cases_stay_paired(tmp_path: Path, predictions: bool) -> None:
    same = Given(wrong=(30, 10, 20))
    everybody = lined_up(tmp_path, {"from-scratch": same, "same": same}, predictions)
    for numbers in drawn(everybody, 300):
        assert (numbers.goodness[:, 0] == numbers.goodness[:, 1]).all()
        assert (numbers.limited["accuracy_drop"] == 0).all()


def test_the_same_records_are_drawn_the_same(tmp_path: Path) -> None:
    everybody = lined_up(tmp_path, {"from-scratch": Given(wrong=(30, 10, 20))})
    assert (rates(everybody, 20) == rates(everybody, 20)).all()
    assert len(np.unique(rates(everybody, 20))) > 1


def test_as_many_are_drawn_as_were_asked_for(tmp_path: Path) -> None:
    everybody = lined_up(tmp_path, {"from-scratch": Given(wrong=(30, 10, 20))})
    assert len(rates(everybody, 2 * AT_ONCE + 7)) == 2 * AT_ONCE + 7


def test_a_single_process_and_seed_do_not_vary(tmp_path: Path) -> None:
    everybody = lined_up(tmp_path, {"from-scratch": Given((20,), None, {CPU: (100,)})}, predictions=False)
    first = measured(everybody)
    for numbers in drawn(everybody, 20):
        assert (numbers.goodness == first.goodness).all()
        assert numbers.log_latency == pytest.approx(np.repeat(first.log_latency, 20, axis=0))
