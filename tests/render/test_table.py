"""The decision table as a reader meets it: in a terminal, as Markdown, as CSV, in sentences."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import STEPS, Folder
from rich.console import Console

from kdbench.evidence import Evidence, evidence
from kdbench.evidence.differences import Difference
from kdbench.render import terminal_table
from kdbench.render.report.markdown import MOST_COLUMNS, markdown
from kdbench.render.report.terminal import as_text
from kdbench.render.report.tidy import estimates, measurements
from kdbench.render.tables.cells import HIDDEN
from kdbench.render.tables.table import build_table
from kdbench.render.words.choice_words import change
from kdbench.render.words.sentences import sentences
from kdbench.results import records
from kdbench.results.records import Failed, labelled
from kdbench.scale import Scale
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
    assert "too few to tell any case from another" in " ".join(sentence.text for sentence in sentences(found))


def test_markdown_has_at_most_eight_columns_and_one_row_a_case(found: Evidence) -> None:
    rows = [line for line in markdown(found).splitlines() if line.startswith("|")]
    assert {row.count(" | ") + 1 for row in rows if "---" not in row} <= {MOST_COLUMNS}
    assert len(rows) == 2 + 10


def test_markdown_begins_with_the_answer(found: Evidence) -> None:
    assert "\n- On cpu, 1 thread, batch 1: `soft-pruned-int8` is 17.2x (" in markdown(found)


def test_markup_in_names_is_text_in_markdown(folder: Build) -> None:
    text = markdown(evidence(folder(steps={"from-scratch": [], "<b>|x|*": []}, seeds=(0,)).write()))
    table = text[text.index("| Case") :]
    assert r"&lt;b&gt;\|x\|\*" in table
    assert "<b>" not in table
    assert "<b>" not in re.sub(r"`[^`]*`", "", text), "but for code, which is text"


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
    said = sentences(found)[0]
    assert said.text.startswith("On cpu, 1 thread, batch 1: `soft-pruned-int8` is 17.2x (17.")
    assert "faster than the teacher and 31.8x smaller, and loses 2.5 points (" in said.text
    assert said.warnings == ("mostly call overhead",)


def test_files_of_equal_latency_are_not_ranked(folder: Build) -> None:
    found = evidence(folder(steps={"from-scratch": [], "soft": STEPS["soft"]}, batch_sizes=(1,)).write())
    assert "cannot be told from it, in accuracy or in latency" in sentences(found)[0].text


def test_targets_that_answer_alike_share_their_columns_and_their_heading(folder: Build) -> None:
    targets = ("local-cpu-1t-fp32", "local-cpu-2t-fp32")
    found = evidence(folder(steps=FEW, targets=targets, batch_sizes=(1,)).write())
    keys = [column.key for column in build_table(found).columns]
    assert keys.count("accuracy") == keys.count("bytes") == 1
    assert keys.count("p50") == 2
    assert "cpu, 2 threads, batch 1" in {column.group for column in build_table(found).columns}


def test_a_trouble_on_one_target_marks_no_number_of_another(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0, 1, 2), batch_sizes=(1,)).write()
    reason = "the provider fell back."
    records.append(path / "records.jsonl", [
        Failed(kind="score", suite="s", case="soft", seed=0, key="x", target="local-cuda-1t-fp32", reason=reason)
    ])  # fmt: skip
    table = build_table(evidence(path))
    by_group = {column.group: column.cells[2] for column in table.columns if column.key == "accuracy"}
    assert by_group["Accuracy on cpu, 1 thread"].notes == ()
    assert by_group["Accuracy on cuda, 1 thread"].notes[0].endswith(reason)


def test_a_case_with_fewer_seeds_says_so_at_its_number(folder: Build) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    gone = {("soft", 1), ("soft", 2)}
    kept = [r for r in labelled(records.read(path / "records.jsonl")) if (r.case, r.seed) not in gone]
    (path / "records.jsonl").unlink()
    records.append(path / "records.jsonl", kept)
    table = build_table(evidence(path))
    cell = next(column for column in table.columns if column.key == "accuracy").cells[2]
    assert cell.notes == ("1 seed only; the others were not recorded",)


def test_memory_is_what_a_file_added_to_its_process(folder: Build) -> None:
    table = build_table(evidence(folder(steps=FEW, memory=True).write()))
    column = next(column for column in table.columns if column.key == "memory" and column.group == "batch 32")
    assert column.cells[1].value == 212_000 * 32
    assert column.rank >= HIDDEN


def test_columns_sort_by_their_numbers(found: Evidence) -> None:
    columns = {column.key: column for column in build_table(found).columns}
    values = [cell.value for cell in columns["difference"].cells]
    assert values[1] == 0.0
    assert all(value is not None for value in values[1:])
    assert columns["training"].cells[1].value == pytest.approx(12 * 0.4e9)


def test_a_case_that_is_faster_but_less_accurate_is_told_with_its_price(folder: Build) -> None:
    """Eight seeds, so that the loss of pruning counts: the answer keeps to the accurate ones and names the other."""
    steps = {name: STEPS[name] for name in ("from-scratch", "soft", "pruned-structured")}
    said = sentences(evidence(folder(steps=steps, seeds=tuple(range(8)), batch_sizes=(1,)).write()))
    assert said[0].text.startswith("On cpu, 1 thread, batch 1: `soft` is 3.")
    assert "`pruned-structured` is faster still (7." in said[0].text
    assert "but loses" in said[0].text


def test_without_a_row_of_the_teacher_nothing_is_compared_with_it(folder: Build) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    kept = [row for row in records.read(path / "records.jsonl") if getattr(row, "case", None) != "teacher"]
    (path / "records.jsonl").unlink()
    records.append(path / "records.jsonl", kept)
    assert not any("the teacher" in said.text for said in sentences(evidence(path))[:1])


def test_a_difference_that_rounds_to_nothing_is_neither_a_gain_nor_a_loss() -> None:
    def told(value: float, low: float | None, high: float | None) -> str:
        return change(Difference(value, low, high, None, (), 0), Scale())

    assert told(-0.0001, None, None) == "differs by 0.0 points"
    assert told(-0.0001, -0.012, 0.0118) == "differs by 0.0 points (−1.2 to 1.2)"
    assert told(-0.012, -0.02, -0.004) == "loses 1.2 points (0.4 to 2.0)"
