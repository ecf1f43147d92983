"""Quantiles, paired ratios and words, on samples whose answers are known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.stats import (
    CONTENDED,
    MOSTLY_OVERHEAD,
    PROCESSES_DISAGREE,
    SCHEDULER_SLICE_NS,
    STOLEN,
    TOO_FEW,
    instability,
    median_of_process_medians,
    needed_samples,
    paired_cpu_ratios,
    paired_ratios,
    paired_round_ratios,
    percentile,
)


def test_percentiles_need_the_samples_that_mlperf_asks_for() -> None:
    # early_stopping of mlcommons/inference, c = 0.99, d = 0: 64 and 662 are constants of its own configuration
    assert [needed_samples(fraction) for fraction in (0.9, 0.95, 0.99, 0.999)] == [64, 130, 662, 6636]
    assert needed_samples(0.1) == needed_samples(0.9)


def test_a_percentile_of_too_few_samples_is_absent() -> None:
    assert percentile(range(63), 0.9) is None
    assert percentile(range(64), 0.9) == pytest.approx(56.7)
    assert percentile(range(661), 0.99) is None
    assert percentile(range(662), 0.99) is not None


def test_the_median_is_given_for_a_single_sample_and_not_for_none() -> None:
    assert percentile([7], 0.5) == 7.0
    assert percentile([], 0.5) is None


@pytest.mark.parametrize("fraction", [0, 1, 99])
def test_a_fraction_is_not_a_percentage(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile(range(1000), fraction)


def test_each_process_counts_once_however_long_it_is() -> None:
    assert median_of_process_medians([[1, 2, 3], [10] * 1000, [4]]) == 4.0


def test_a_file_that_takes_twice_its_reference_has_the_logarithm_of_two() -> None:
    reference = [[100, 110, 120, 100, 110, 120]] * 3
    samples = [[2 * value for value in process] for process in reference]
    assert paired_round_ratios(samples, reference, 3) == pytest.approx([math.log(2)] * 3)


@given(st.lists(st.floats(0.5, 4), min_size=4, max_size=12))
def test_a_machine_that_drifts_from_round_to_round_does_not_move_the_ratio(drift: list[float]) -> None:
    speed = np.repeat(drift, 5)
    reference = np.tile([1e6, 1.01e6, 1.02e6, 1.03e6, 9e6], len(drift))
    (ratio,) = paired_round_ratios([list(1.1 * reference * speed)], [list(reference * speed)], 5)
    assert ratio == pytest.approx(math.log(1.1))


def test_one_round_that_a_neighbour_spoiled_does_not_move_the_ratio() -> None:
    reference = [[100] * 50]
    samples = [[100] * 40 + [9000] * 10]
    assert paired_round_ratios(samples, reference, 10) == [0.0]


def test_samples_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="not the same rounds: 2 of the file, 1 of its reference"):
        paired_round_ratios([[1] * 4], [[1] * 2], 2)


SHORT, LONG = 1_000_000, 10_000_000


def preempted(call_ns: int) -> list[list[int]]:
    """Three processes of two rounds of four calls, of which a neighbour made nearly all of the second round longer."""
    return [[call_ns] * 4 + [9 * call_ns] * 4] * 3


def test_thread_time_tells_the_ratio_of_long_calls_that_neighbours_made_longer() -> None:
    cpu, reference_cpu = [[44 * 10**6] * 2] * 3, [[40 * 10**6] * 2] * 3
    found = paired_ratios(preempted(LONG), [[LONG] * 8] * 3, 4, cpu, reference_cpu)
    assert found == pytest.approx([math.log(1.1)] * 3)
    assert found == paired_cpu_ratios(cpu, reference_cpu)


@pytest.mark.parametrize(("mine", "its"), [(SCHEDULER_SLICE_NS + 1, 10), (10, SCHEDULER_SLICE_NS + 1)])
def test_one_side_that_outlasts_a_slice_is_enough(mine: int, its: int) -> None:
    assert paired_ratios([[mine] * 2], [[its] * 2], 1, [[7, 7]], [[7, 7]]) == [0.0]


def test_calls_within_a_slice_or_without_thread_time_go_by_the_wall_clock() -> None:
    short, long = [[2 * SHORT] * 8] * 3, [[2 * LONG] * 8] * 3
    assert paired_ratios(short, [[SHORT] * 8] * 3, 4, [[1, 1]] * 3, [[1, 1]] * 3) == pytest.approx([math.log(2)] * 3)
    assert paired_ratios(long, [[LONG] * 8] * 3, 4, [[1, 1]] * 3, ()) == pytest.approx([math.log(2)] * 3)


def test_thread_times_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="not the same rounds: 2 of the file, 1 of its reference"):
        paired_cpu_ratios([[1, 1]], [[1]])


STEADY = [[100_000] * 100] * 3


def test_steady_samples_get_no_word() -> None:
    assert instability(STEADY, other_cpu_fraction=[0.0, 0.1, 0.0], thread_cpu_ns=[[5_000_000] * 2] * 3) == []


@pytest.mark.parametrize("samples", [[], STEADY[:2], [[100_000] * 63] * 3])
def test_too_few_processes_or_calls_say_so(samples: list[list[int]]) -> None:
    assert instability(samples) == [TOO_FEW]


def test_processes_that_disagree_say_so() -> None:
    assert instability([*STEADY, [111_000] * 100]) == [PROCESSES_DISAGREE]
    assert instability([*STEADY, [109_000] * 100]) == []


def test_a_busy_machine_in_one_process_is_contended() -> None:
    assert instability(STEADY, other_cpu_fraction=[0.0, 0.4, 0.0]) == [CONTENDED]


@pytest.mark.parametrize(("steal", "words"), [([0.0, 0.005, 0.01], []), ([0.0, 0.02, 0.0], [STOLEN])])
def test_a_host_that_withholds_processor_time_is_said(steal: list[float], words: list[str]) -> None:
    assert instability(STEADY, steal_fraction=steal) == words


def test_a_thread_that_waited_for_its_core_is_contended() -> None:
    waited = [[5_000_000] * 2, [5_000_000] * 2, [4_000_000] * 2]
    assert instability(STEADY, thread_cpu_ns=waited) == [CONTENDED]


def test_calls_of_a_few_microseconds_are_mostly_overhead() -> None:
    assert instability([[15_000] * 100] * 3) == [MOSTLY_OVERHEAD]
