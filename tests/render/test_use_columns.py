"""Columns of cold start, energy and tails: there where they were recorded, with what they mean, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from enriched import energized, rewritten, started
from folders import STEPS, Folder

import kdbench
from kdbench import stats
from kdbench.evidence import Evidence, evidence
from kdbench.render.report.tidy import estimates
from kdbench.render.tables.cells import HIDDEN, Column, Table
from kdbench.render.tables.latency_columns import TOO_SMALL
from kdbench.render.tables.table import build_table
from kdbench.render.words.words import EXPLAINED, UNRELIABLE_TAIL
from kdbench.results.records import Energy, Latency, Record, Start

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft")}
KEYS = {
    "start",
    "start_import",
    "start_load",
    "start_first",
    "start_engine",
    "energy",
    "energy_above",
    "energy_example",
}


def columns(table: Table, group: str = "batch 1") -> dict[str, Column]:
    return {column.key: column for column in table.columns if column.group == group}


def footnotes(table: Table, column: Column, place: int) -> list[str]:
    return list(column.cells[place].notes)


@pytest.fixture
def used(folder: Build) -> Evidence:
    return evidence(rewritten(folder(steps=FEW, seeds=(0, 1, 2)).write(), started, energized))


def test_a_cold_start_is_the_median_process_with_the_least_and_the_most(used: Evidence) -> None:
    table = build_table(used)
    found = columns(table)
    assert (found["start"].title, found["start"].unit) == ("Cold start", "ms")
    assert found["start"].cells[2].text == "61.0 (60.0 to 70.0)"
    assert found["start_import"].cells[2].text == "59.5"
    assert (found["start_load"].cells[2].text, found["start_load"].unit) == ("1.00", "ms")
    assert (found["start_first"].cells[2].text, found["start_first"].unit) == ("500", "µs")
    assert "start_engine" not in found
    assert "start" not in columns(table, "batch 32"), "which nobody recorded"
    assert any(sentence.startswith("Cold start is importing the runtime") for sentence in table.legend)


def test_an_engine_build_is_a_column_where_one_was_built(folder: Build) -> None:
    def built(record: Record) -> list[Record]:
        soft = isinstance(record, Start) and record.case == "soft"
        return [replace(record, engine_build_ns=12_300_000_000) if soft else record]

    table = build_table(evidence(rewritten(folder(steps=FEW, seeds=(0,)).write(), started, built)))
    engine = columns(table)["start_engine"]
    assert (engine.unit, [cell.text for cell in engine.cells]) == ("s", ["–", "–", "12.3"])
    assert footnotes(table, engine, 1) == ["no engine was built"]


def test_energy_names_its_counter_and_says_what_idling_takes(used: Evidence) -> None:
    table = build_table(used)
    found, batch = columns(table), columns(table, "batch 32")
    assert (found["energy"].title, found["energy"].unit) == ("Energy (rapl)", "mJ a call")
    assert found["energy"].cells[2].text == "30.0 (29.0 to 31.0)"
    assert found["energy_above"].cells[2].text == "10.0 (9.00 to 11.0)"
    assert "energy_example" not in found
    assert (batch["energy_example"].unit, batch["energy_example"].cells[2].text.strip()) == ("mJ an example", "0.938")
    assert (
        "Energy on cpu, 1 thread is what rapl (the whole processor package) read over the calls, idle power included: "
        "20.0 W without calls, which above idle is less." in table.legend
    )


def test_energy_without_a_reading_of_idling_has_no_column_above_it(folder: Build) -> None:
    def unread(record: Record) -> list[Record]:
        bare = {"idle_energy_uj": None, "idle_wall_ns": None}
        return [replace(record, **bare) if isinstance(record, Energy) else record]  # type: ignore[arg-type]

    table = build_table(evidence(rewritten(folder(steps=FEW, seeds=(0,)).write(), energized, unread)))
    assert "energy_above" not in columns(table)
    assert any(sentence.endswith("how much that is was not read.") for sentence in table.legend)


def test_without_records_there_are_no_columns_and_no_words(quickstart: Path) -> None:
    table = build_table(evidence(quickstart))
    assert not [column for column in table.columns if column.key in KEYS]
    assert not [sentence for sentence in table.legend if "Energy" in sentence or "Cold start" in sentence]


def test_they_are_opened_not_met_first(used: Evidence) -> None:
    assert all(column.rank >= HIDDEN for column in build_table(used).columns if column.key in KEYS)


def test_a_percentile_of_too_few_calls_says_so_in_its_cell_and_how_many_it_needs(folder: Build) -> None:
    table = build_table(evidence(folder(steps=FEW, seeds=(0,), batch_sizes=(1,), call_count=20).write()))
    found = columns(table)
    assert found["p90"].cells[1].text == TOO_SMALL == "n too small"
    assert footnotes(table, found["p90"], 1) == ["n too small: a p90 needs 64 calls or more, here were 60"]
    assert found["p50"].cells[1].text != TOO_SMALL


def test_a_case_that_was_not_timed_has_a_dash_there(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0,), batch_sizes=(1,), without_latency=frozenset({"soft"})).write()
    assert columns(build_table(evidence(path)))["p90"].cells[2].text == "–"


@pytest.mark.parametrize(("field", "word"), [("other_cpu_fraction", stats.CONTENDED), ("steal_fraction", stats.STOLEN)])
def test_the_tail_of_a_disturbed_row_is_marked_unreliable(folder: Build, field: str, word: str) -> None:
    def disturbed(record: Record) -> list[Record]:
        soft = isinstance(record, Latency) and record.case == "soft"
        return [replace(record, **{field: (0.5, 0.0, 0.0)}) if soft else record]  # type: ignore[arg-type]

    table = build_table(evidence(rewritten(folder(steps=FEW, seeds=(0,), batch_sizes=(1,)).write(), disturbed)))
    found = columns(table)
    assert footnotes(table, found["p90"], 2) == [EXPLAINED[word]]
    assert EXPLAINED[word].endswith("the tail is unreliable")
    assert EXPLAINED[word] in footnotes(table, found["p50"], 2)
    assert found["p90"].cells[1].notes == ()


def test_every_word_for_instability_is_explained() -> None:
    words = {value for name, value in vars(stats).items() if name.isupper() and isinstance(value, str)}
    assert words == EXPLAINED.keys()
    assert all("unreliable" in EXPLAINED[word] for word in UNRELIABLE_TAIL)


def test_the_frame_of_measurements_has_them_with_units_in_their_names(folder: Build) -> None:
    path = rewritten(folder(steps=FEW, seeds=(0, 1)).write(), started, energized)
    frame = kdbench.load(path)
    first = frame[(frame.case == "soft") & (frame.batch_size == 1) & (frame.seed == 0)].iloc[0]
    assert first.cold_start_ns == 61e6
    assert (first.cold_start_load_ns, first.cold_start_first_inference_ns) == (1e6, 5e5)
    assert (first.energy_a_call_mj, first.energy_above_idle_a_call_mj, first.idle_power_watts) == (30, 10, 20)
    assert first.energy_counter == "rapl"
    assert frame.cold_start_ns.dtype == frame.energy_a_call_mj.dtype == frame.idle_power_watts.dtype == "float64"
    assert frame[frame.seed == 1].cold_start_ns.isna().all(), "only the first seed has a cold start"
    assert "cold_start_low_ns" in estimates(evidence(path)).splitlines()[0]


def test_the_frame_of_a_folder_without_them_has_no_such_columns(quickstart: Path) -> None:
    assert not [name for name in kdbench.load(quickstart).columns if "start" in name or "energy" in name]
