"""Who shares a letter in latency: worked out by hand, and of made-up processes whose truth is known."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.evidence import grids
from kdbench.evidence.latency_groups import latency_letters
from kdbench.results.records import Latency

BASE_NS = 10_000_000
Logs = NDArray[np.float64]


def timed(case: str, logs: Logs, baseline: Logs) -> list[Latency]:
    """One record a row of logs[seed, process]: log(its time / BASE_NS), one round of one call a process."""
    return [_record(case, seed, row, baseline) for seed, row in enumerate(logs)]


def _record(case: str, seed: int, row: Logs, baseline: Logs) -> Latency:
    return Latency(
        suite="made-up", case=case, seed=seed, key="k", target="cpu", fingerprint="f00d",
        provider_asked="cpu", providers_got=("cpu",), batch_size=1, runtime="none", runtime_version="0",
        precision="fp32", samples_ns=_samples(row), round_call_count=1, references={"baseline": "b"},
        reference_samples_ns={"b": _samples(baseline)},
    )  # fmt: skip


def _samples(logs: Logs) -> tuple[tuple[int, ...], ...]:
    return tuple((round(BASE_NS * float(np.exp(log))),) for log in logs)


def together(found: Mapping[str, str], one: str, other: str) -> bool:
    return bool(set(found[one]) & set(found[other]))


def drawn(
    rng: np.random.Generator,
    slower: Mapping[str, float],
    processes: int,
    seed_sd: float = 0.0,
    side_by_side: bool = True,
) -> dict[str, list[Latency]]:
    """Cases of 3 seeds so much slower than their baseline (log); 0.5 % of a file's own noise in each process.

    All that runs in a process shares its level (sd 3 %); in one process each case has luck of its own too (0.3 %).
    """
    shared = 0.03 * rng.standard_normal(processes)
    made = {}
    for case, log in slower.items():
        levels = shared if side_by_side else 0.03 * rng.standard_normal(processes)
        luck = 0.003 * rng.standard_normal(processes)
        files = levels + luck + log + 0.005 * rng.standard_normal((3, processes))
        baseline = levels + (0.0 if side_by_side else 0.005 * rng.standard_normal(processes))
        made[case] = timed(case, files + seed_sd * rng.standard_normal((3, 1)), baseline)
    return made


def test_a_mean_over_seeds_and_processes_has_the_p_of_its_interval() -> None:
    """[[1, 2, 3], [2, 3, 4], [3, 4, 5]] less 1: mean 2, either way t = 2 / sqrt(1/3) = 3.4641 with 2 degrees.

    Student's t of 2 degrees in closed form: p = 1 - t / sqrt(t^2 + 2) = 1 - sqrt(6/7) = 0.07418; of both together,
    2 / sqrt(2/3) = 2.449 with 4 degrees, p = 0.0705 is smaller and does not count.
    """
    values = np.add.outer(np.arange(3.0), np.arange(3.0))
    assert grids.grid_p(values) == pytest.approx(1 - np.sqrt(6 / 7), abs=1e-9)


@pytest.mark.parametrize("shift", [0.02, 0.5, 1.0, 2.0, 4.0])
def test_p_is_small_exactly_where_the_interval_leaves_out_zero(shift: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        values = shift + rng.standard_normal((3, 5)) + 0.5 * rng.standard_normal((3, 1))
        found, p = grids.grid_interval(values), grids.grid_p(values)
        assert p is not None
        assert found.low is not None
        assert found.high is not None
        assert (p < 0.05) == (not found.low <= 0 <= found.high)


def test_two_grids_measured_apart_add_their_variances() -> None:
    """One seed, five processes each, -2..2 and 8 more: variances of the mean 2.5/5 each, so t = 8 with 8 degrees.

    t alone over one's five processes, 8 / sqrt(1/2) = 11.3 with 4 degrees, has the larger p (3.5e-4 against 4.4e-5).
    """
    one = np.arange(-2.0, 3.0)[None]
    assert grids.apart_grids_p(one, one + 8) == pytest.approx(3.47e-4, rel=0.01)
    assert grids.apart_grids_p(one, one) == 1.0


def test_values_that_never_vary_say_nothing_of_their_noise() -> None:
    assert grids.grid_p(np.full((3, 3), 0.1)) is None
    assert grids.apart_grids_p(np.full((3, 3), 0.1), np.full((3, 3), 0.2)) is None
    assert grids.grid_p(np.zeros((2, 2))) is None


def test_a_slower_case_has_a_letter_of_its_own_and_the_fastest_the_first() -> None:
    found = latency_letters(drawn(np.random.default_rng(2), {"slow": 0.3, "equal": 0.0, "baseline": 0.0}, 5), {})
    assert found == {"equal": "a", "baseline": "a", "slow": "b"}


@pytest.mark.parametrize(("processes", "side_by_side", "seed_sd"), [(3, True, 0.0), (5, True, 0.01), (5, False, 0.0)])
def test_equal_cases_are_seldom_told_apart(processes: int, side_by_side: bool, seed_sd: float) -> None:
    """A letter too many is promised in 5 % of 60 families of five equal cases; 8 or more come in less than 2 %."""
    rng = np.random.default_rng([3, processes, side_by_side])
    cases = dict.fromkeys("vwxyz", 0.0)
    letters = [latency_letters(drawn(rng, cases, processes, seed_sd, side_by_side), {}) for _ in range(60)]
    assert sum(len(set(found.values())) > 1 for found in letters) < 8


def test_five_per_cent_are_told_apart_with_five_processes_and_three_seeds() -> None:
    rng = np.random.default_rng(4)
    families = [latency_letters(drawn(rng, {"one": 0.0, "other": 0.05, "far": 0.2}, 5), {}) for _ in range(40)]
    assert sum(not together(found, "one", "other") for found in families) >= 38


def test_drift_between_processes_hides_nothing_from_cases_that_share_them() -> None:
    """Processes 30 % apart; in each of them the same 2 %, give or take 0.1 %."""
    levels = np.array([0.0, 0.3, -0.2])
    noise = 0.001 * np.random.default_rng(5).standard_normal((2, 3, 3))
    found = latency_letters(
        {"one": timed("one", levels + noise[0], levels), "other": timed("other", levels + 0.02 + noise[1], levels)}, {}
    )
    assert found == {"one": "a", "other": "b"}


def test_a_teacher_of_one_seed_stands_beside_every_seed_of_the_others() -> None:
    made = drawn(np.random.default_rng(6), {"teacher": 0.5, "student": 0.0, "other": 0.0}, 5)
    made["teacher"] = [replace(made["teacher"][0], seed=7)]
    assert latency_letters(made, {}) == {"student": "a", "other": "a", "teacher": "b"}


def test_equal_files_are_never_told_apart() -> None:
    """Timed in other processes, on a machine that had become slower in between by something the baseline escaped."""
    rng = np.random.default_rng(7)
    made = drawn(rng, {"one": 0.0, "copy": 0.3}, 5, side_by_side=False)
    digests = {(case, seed): f"file-{seed}" for case in made for seed in range(3)}
    assert latency_letters(made, digests) == {"one": "a", "copy": "a"}
    assert latency_letters(made, {**digests, ("copy", 2): "another"}) == {"one": "a", "copy": "b"}


def test_who_was_timed_in_two_processes_beside_another_baseline_or_elsewhere_has_no_letter() -> None:
    made = drawn(
        np.random.default_rng(8), dict.fromkeys(["one", "two", "few", "otherwise", "elsewhere", "alone"], 0.0), 3
    )
    made["few"][1] = replace(made["few"][1], samples_ns=(), reference_samples_ns={"b": ()})
    made["otherwise"] = [
        replace(record, references={"baseline": "c"}, reference_samples_ns={"c": record.samples_ns or ()})
        for record in made["otherwise"]
    ]
    made["elsewhere"] = [replace(record, fingerprint="beef") for record in made["elsewhere"]]
    made["alone"] = [replace(record, references={}, reference_samples_ns={}) for record in made["alone"]]
    assert latency_letters(made, {}) == {"one": "a", "two": "a"}


def test_one_case_alone_has_no_letter() -> None:
    made = drawn(np.random.default_rng(9), {"one": 0.0}, 3)
    assert latency_letters(made, {}) == {}
    assert latency_letters({}, {}) == {}
