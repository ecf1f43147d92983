"""The decision table as a reader meets it: in a terminal, as Markdown, as CSV, in sentences."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import STEPS, Folder
from rich.console import Console

from kdbench.evidence import Evidence, evidence
from kdbench.render import terminal_table
from kdbench.render.markdown import MOST_COLUMNS, markdown
from kdbench.render.sentences import sentences
from kdbench.render.table import build_table
from kdbench.render.terminal import as_text
from kdbench.render.tidy import estimates, measurements
from kdbench.units import MISSING

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "soft-pruned-int8")}


@pytest.fixture(scope="module")
def found(quickstart: Path) -> Evidence:
    return evidence(quickstart)


def plain(found: Evidence, width: int) -> str:
    return as_text(found, Console(width=width, force_terminal=False, color_system=None))


@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_the_terminal_table_keeps_within_its_width(found: Evidence, width: int) -> None:
    lines = plain(found, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("soft-pruned-int8") and "97" in line for line in lines)


def test_a_wide_terminal_shows_what_a_case_costs(found: Evidence) -> None:
    assert "Training" in plain(found, 200)


def test_no_color_is_respected(found: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in as_text(found, Console(force_terminal=True, width=120))


def test_a_pipe_gets_plain_text(quickstart: Path) -> None:
    assert "\x1b" not in terminal_table(quickstart, 120)


def test_a_row_decided_by_call_overhead_says_so(found: Evidence) -> None:
    text = plain(found, 160)
    row = next(line for line in text.splitlines() if line.startswith("soft-pruned-int8"))
    mark = next(sign for sign in "¹²³⁴⁵" if sign in row)
    assert any(line.startswith(mark) and "cost of calling the runtime" in line for line in text.splitlines())


def test_a_failed_case_stays_in_the_table_with_dashes_and_its_reason(folder: Build) -> None:
    found = evidence(folder(steps=FEW, seeds=(0,), failed={"soft": "kd became infinite in epoch 3."}).write())
    table = build_table(found)
    row = [case.name for case in table.rows].index("soft")
    cells = [column.cells[row] for column in table.columns[1:]]
    assert all(cell.text == MISSING and cell.notes for cell in cells)
    assert any("kd became infinite in epoch 3." in note for note in table.footnotes)


def test_no_cell_is_ever_empty(folder: Build) -> None:
    found = evidence(folder(steps=FEW, without_latency=frozenset({"soft"})).write())
    assert all(cell.text.strip() for column in build_table(found).columns for cell in column.cells)


def test_a_single_seed_shows_values_and_no_interval(folder: Build) -> None:
    found = evidence(folder(steps=FEW, seeds=(0,)).write())
    accuracy = next(column for column in build_table(found).columns if column.key == "accuracy")
    assert not any("±" in cell.text or cell.letters.strip() for cell in accuracy.cells)
    assert "too few to tell any case from another" in " ".join(sentences(found))


def test_markdown_has_at_most_eight_columns_and_one_row_a_case(found: Evidence) -> None:
    rows = [line for line in markdown(found).splitlines() if line.startswith("|")]
    assert {row.count(" | ") + 1 for row in rows if "---" not in row} <= {MOST_COLUMNS}
    assert len(rows) == 2 + 10


def test_markup_in_names_is_text_in_markdown(folder: Build) -> None:
    text = markdown(evidence(folder(steps={"from-scratch": [], "<b>|x|*": []}, seeds=(0,)).write()))
    assert r"&lt;b&gt;\|x\|\*" in text
    assert "<b>" not in text


def test_the_csv_has_a_row_a_file_and_setting_with_units_in_its_names(found: Evidence) -> None:
    rows = list(csv.DictReader(io.StringIO(measurements(found))))
    assert len(rows) == (1 + 9 * 3) * 2
    assert {"latency_p50_ns", "accuracy_test_fraction", "onnx_bytes"} <= rows[0].keys()
    first = next(row for row in rows if row["case"] == "soft" and row["seed"] == "2" and row["batch_size"] == "1")
    assert float(first["latency_p50_ns"]) == pytest.approx(94_000, rel=0.03)


def test_the_estimates_have_a_row_a_case_and_setting(found: Evidence) -> None:
    rows = list(csv.DictReader(io.StringIO(estimates(found))))
    assert len(rows) == 10 * 2
    row = next(row for row in rows if row["case"] == "soft")
    assert float(row["difference_low_fraction"]) <= float(row["difference_fraction"])


def test_sentences_name_the_fastest_with_its_interval(found: Evidence) -> None:
    text = " ".join(sentences(found))
    assert "soft-pruned-int8 has the lowest latency" in text
    assert "faster than the teacher" in text


def test_files_of_equal_latency_are_not_ranked(folder: Build) -> None:
    found = evidence(folder(steps={"from-scratch": [], "soft": STEPS["soft"]}, batch_sizes=(1,)).write())
    assert "cannot be told from it" in next(line for line in sentences(found) if "lowest latency" in line)
