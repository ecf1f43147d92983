"""The simulation's own procedures against kdbench's, and the promise in the limit of normal noise."""

import numpy as np
import pytest
from clocks import records, told_apart
from crossed import Setting, answers, differences
from procedures import hillis, over_seeds, residual_alone, used
from sections import BAR, EXAMPLE_SDS, SEED_SDS, SEEDS, level_table, rate
from theory import MIXES, levels, worst


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_kdbench_agrees_with_the_f_test_written_apart_from_it(seeds: int) -> None:
    """The largest p of the three procedures, table by table; df above m - 1 differ in the fourth digit only."""
    for d in differences(np.random.default_rng(0), Setting(seeds, 0.15), 100):
        expected = np.maximum.reduce([over_seeds(d), hillis(d), residual_alone(d)])
        assert used(d) == pytest.approx(expected, abs=2e-3)


def test_made_up_cases_are_as_accurate_as_asked() -> None:
    """To three standard errors of 400 x 360 examples, as if the seeds were one."""
    right = answers(np.random.default_rng(1), Setting(3, 0.15, 1.0, drop=0.05), 400)
    assert right.mean(axis=(0, 2, 3)) == pytest.approx([0.95, 0.90], abs=3 * np.sqrt(0.09 / (400 * 360)))


@pytest.mark.parametrize("seeds", [3, 4, 5, 10])
def test_in_the_limit_the_wider_interval_keeps_its_promise_for_every_mix_of_noises(seeds: int) -> None:
    by_seeds, crossed, wider = worst(seeds)
    assert wider < 0.058
    assert by_seeds > 0.5
    assert crossed >= wider


def test_without_example_noise_t_over_seeds_is_exact() -> None:
    assert levels(5, MIXES[0])[0] == pytest.approx(0.05, abs=1e-4)


def test_with_three_seeds_the_crossed_interval_alone_breaks_its_promise() -> None:
    assert worst(3)[1] == pytest.approx(0.0785, abs=5e-4)


def test_a_rate_above_the_bar_stands_out() -> None:
    assert rate(0.05, 1900) == "5.0 ± 0.5"
    assert rate(0.08, 1000) == "**8.0 ± 0.9**"


def test_t_over_ten_seeds_fails_where_the_noise_is_the_examples() -> None:
    row = level_table(250, [Setting(10, 0.0, 2.0)], [["10"]], ["seeds"]).splitlines()[-1]
    assert float(row.split(" | ")[2].strip("*").split()[0]) > 20


def _rejected(setting: Setting, count: int) -> float:
    return float(np.mean([p < 0.05 for d in differences(np.random.default_rng(7), setting, count) for p in used(d)]))


@pytest.mark.parametrize("example_sd", [0.0, 1.0, 2.0])
def test_equal_cases_are_told_apart_about_as_rarely_as_promised(example_sd: float) -> None:
    """500 tables: three standard errors above 5 % are 7.9 %, and the worst mix adds 0.7 %."""
    assert 0.005 < _rejected(Setting(5, 0.15, example_sd), 500) < 0.086


@pytest.mark.slow
@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("seed_sd", SEED_SDS)
@pytest.mark.parametrize("example_sd", EXAMPLE_SDS)
def test_no_mix_of_noises_exceeds_the_bar(seeds: int, seed_sd: float, example_sd: float) -> None:
    assert _rejected(Setting(seeds, seed_sd, example_sd), 4000) < BAR


@pytest.mark.slow
def test_latency_of_equal_files_is_told_apart_about_as_rarely_as_promised() -> None:
    """Ten seeds in ten processes, where the wider of the two t intervals alone rejects 9 % (normal limit)."""
    rng = np.random.default_rng(3)
    assert np.mean([told_apart(records(rng, 10, 10, 0.004))[0] for _ in range(1000)]) < BAR
