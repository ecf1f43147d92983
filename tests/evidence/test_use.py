"""Cold start and energy: one number a process, and records that do not add up."""

from dataclasses import replace

import pytest

from kdbench.errors import RecordError
from kdbench.evidence.use import energy_view, start_view
from kdbench.results.records import Energy, Start

START = Start(
    suite="s", case="soft", seed=0, key="k", target="t", batch_size=1, runtime_import_ns=(60, 90, 61),
    load_ns=(5, 5, 9), first_inference_ns=(1, 1, 1),
)  # fmt: skip
ENERGY = Energy(
    suite="s", case="soft", seed=0, key="k", target="t", counter="rapl", batch_size=1, call_count=(100, 100, 200),
    energy_uj=(3_000_000, 3_200_000, 5_800_000), wall_ns=(10**8, 10**8, 2 * 10**8),
)  # fmt: skip


def test_a_cold_start_is_summed_in_each_process_and_told_by_the_median() -> None:
    view = start_view([START])
    assert (view.total_ns.low, view.total_ns.value, view.total_ns.high) == (66, 71, 96)
    assert (view.import_ns.value, view.load_ns.value, view.first_inference_ns.value) == (61, 5, 1)
    assert view.engine_build_ns is None


def test_processes_of_several_seeds_are_pooled() -> None:
    view = start_view([START, replace(START, seed=1, engine_build_ns=1000)])
    assert view.total_ns.n == 6
    assert view.engine_build_ns == 1000


def test_energy_is_divided_by_its_calls() -> None:
    view = energy_view([ENERGY])
    assert (view.call_mj.low, view.call_mj.value, view.call_mj.high) == (29, 30, 32)
    assert view.above_idle_mj is None
    assert view.idle_watts is None


def test_what_idling_took_is_taken_away_for_as_long_as_the_calls_ran() -> None:
    """30 W while calls of 1 ms run, 20 W without: 30 mJ a call, 10 mJ above idle."""
    view = energy_view([replace(ENERGY, idle_energy_uj=(4_000_000,) * 3, idle_wall_ns=(2 * 10**8,) * 3)])
    assert view.idle_watts == pytest.approx(20)
    assert view.above_idle_mj is not None
    assert view.above_idle_mj.value == pytest.approx(10)


@pytest.mark.parametrize("wrong", [{"load_ns": (5, 5)}, {"runtime_import_ns": ()}, {"first_inference_ns": (1, 0, 1)}])
def test_a_start_that_does_not_add_up_is_refused_with_its_place(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(RecordError, match="the start record of soft, seed 0, t, batch 1 has not one runtime_import_ns"):
        start_view([replace(START, **wrong)])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"call_count": (1, 0, 1)}, {"energy_uj": (1,)}, {"idle_energy_uj": (1, 1),
                                   "idle_wall_ns": (1, 1)}])  # fmt: skip
def test_an_energy_that_does_not_add_up_is_refused_with_its_place(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(RecordError, match="the energy record of soft, seed 0, t, batch 1"):
        energy_view([replace(ENERGY, **wrong)])  # type: ignore[arg-type]
