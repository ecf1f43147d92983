"""The proof as a reader meets it: a table a target, one column where something ran elsewhere, rows for programs."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from enriched import CPU, OPENVINO, proven, rewritten
from folders import STEPS, Folder

from kdbench.evidence import evidence
from kdbench.render import render
from kdbench.render.report.page import page
from kdbench.render.report.tidy import estimates, executions, measurements
from kdbench.render.sections.execution import execution_markdown
from kdbench.render.tables.execution import execution_tables
from kdbench.render.tables.latency_columns import share_text
from kdbench.render.tables.table import build_table
from kdbench.render.tables.target_table import TargetTable
from kdbench.results import records
from kdbench.results.records import Failed, Latency, Record

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}
TARGET = "local-openvino-1t-fp32"


@pytest.fixture
def partly(folder: Build) -> Path:
    """An eighth of `soft` ran on the CPU though OpenVINO was asked for."""
    path = folder(steps=FEW, targets=(TARGET,), seeds=(0, 1, 2)).write()
    told = {"assigned_node_count_by_provider": None, "provider_options": {"num_streams": "1"}}
    return rewritten(path, proven({"soft": 0.125}, OPENVINO, **told))


def cells(table: TargetTable, case: str) -> dict[str, str]:
    row = [view.name for view in table.table.rows].index(case)
    return {column.key: column.cells[row].text for column in table.table.columns}


def test_a_row_says_what_ran_where_how_and_with_which_answers(partly: Path) -> None:
    (table,) = execution_tables(evidence(partly))
    assert cells(table, "soft") == {
        "case": "soft", "kernels": f"7 of 8, {CPU} 1", "kernel_time": f"88, {CPU} 12", "computed": "fp32",
        "int8": "0", "answers": "100",
    }  # fmt: skip
    assert cells(table, "int8-static")["kernels"] == "8 of 8"
    assert cells(table, "int8-static")["int8"] == "100"


def test_the_sentences_say_what_was_asked_and_what_was_not_done(partly: Path) -> None:
    (table,) = execution_tables(evidence(partly))
    assert [sentence.text for sentence in table.sentences] == [
        f"Asked for `{OPENVINO}` of onnxruntime 1.24.1, told `num_streams=1`.",
        f"Not all of it ran there; `{CPU}` did the rest: `soft` (88 % there).",
    ]


def test_where_everything_ran_as_asked_that_is_said_and_the_table_of_decision_has_no_column(folder: Build) -> None:
    found = evidence(rewritten(folder(steps=FEW).write(), proven()))
    (table,) = execution_tables(found)
    assert table.sentences[1].text == "Every kernel that ran, ran there."
    assert not [column for column in build_table(found).columns if column.key == "asked"]


def test_the_decision_table_has_a_column_where_the_asked_provider_did_not_do_all(partly: Path) -> None:
    table = build_table(evidence(partly))
    columns = [column for column in table.columns if column.key == "asked"]
    assert [cell.text for cell in columns[0].cells] == ["100", "100", "88", "100"]
    assert columns[0] in table.best_ranked(8)
    assert any(sentence.startswith("As asked is the share of kernel time") for sentence in table.legend)


def test_batch_sizes_on_which_it_ran_otherwise_have_columns_of_their_own(folder: Build) -> None:
    def only_at_32(record: Record) -> list[Record]:
        other = isinstance(record, Latency) and record.batch_size == 32
        return [replace(record, kernel_ns_by_provider={CPU: 90, "X": 10}) if other else record]

    (table,) = execution_tables(evidence(rewritten(folder(steps=FEW).write(), proven(), only_at_32)))
    headings = [(column.key, column.group) for column in table.table.columns]
    assert ("kernels", "") in headings
    assert [group for key, group in headings if key == "kernel_time"] == ["batch 1", "batch 32"]


def test_a_failed_row_stays_with_its_reason_in_every_form(partly: Path) -> None:
    reason = f"asked for {OPENVINO}, which ran none of the file's nodes."
    kept = [r for r in records.read(partly / "records.jsonl") if not (isinstance(r, Latency) and r.case == "soft")]
    failed = [Failed(kind="latency", suite="s", case="soft", seed=seed, key="x", target=TARGET, reason=reason)
              for seed in range(3)]  # fmt: skip
    (partly / "records.jsonl").unlink()
    records.append(partly / "records.jsonl", [*kept, *failed])
    found = evidence(partly)
    (table,) = execution_tables(found)
    assert list(cells(table, "soft").values()) == ["soft", "failed", "–", "–", "–", "–"]
    assert table.table.footnotes == (f"failed on {TARGET} (seeds 0, 1, 2): {reason}",)
    assert reason in execution_markdown(found)
    rows = [row for row in csv.DictReader(io.StringIO(executions(found))) if row["case"] == "soft"]
    assert [(row["status"], row["reason"]) for row in rows] == [("failed", reason)] * 3


def test_a_target_on_which_every_row_failed_is_still_told(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0,)).write()
    failed = [Failed(kind="latency", suite="s", case=name, seed=0, key="x", target="local-cuda-1t-fp32", reason="no.")
              for name in ("teacher", *FEW)]  # fmt: skip
    records.append(path / "records.jsonl", failed)
    (table,) = execution_tables(evidence(path))
    assert table.place == "cuda, 1 thread"
    assert all(cells(table, name)["nodes"] == "failed" for name in FEW)


def test_seeds_that_failed_are_noted_at_the_others(partly: Path) -> None:
    records.append(partly / "records.jsonl", [
        Failed(kind="latency", suite="s", case="soft", seed=7, key="x", target=TARGET, reason="it fell back.")
    ])  # fmt: skip
    (table,) = execution_tables(evidence(partly))
    assert table.table.footnotes == (f"failed on {TARGET} (seed 7): it fell back.",)
    assert cells(table, "soft")["kernels"].startswith("7 of 8")


def test_another_precision_and_other_answers_than_promised_are_told(folder: Build) -> None:
    def other(record: Record) -> list[Record]:
        soft = isinstance(record, Latency) and record.case == "soft"
        return [replace(record, effective_precision="bf16", answers_agreement_fraction=0.99999) if soft else record]

    (table,) = execution_tables(evidence(rewritten(folder(steps=FEW).write(), proven(), other)))
    said = " ".join(sentence.text for sentence in table.sentences)
    assert "Computed in another precision than the target's name says: `soft` (bf16)." in said
    assert "`soft` (99.99 % the same)" in said
    assert "int8-static" not in said


def test_nothing_is_shown_where_nothing_was_recorded(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0,)).write()
    found = evidence(path)
    assert execution_tables(found) == ()
    assert (executions(found), execution_markdown(found)) == ("", "")
    assert not [
        written for written in render(path, path / "report", ("csv", "markdown")) if "execution" in written.name
    ]
    assert "What ran where" not in page(found, {}, path / "report", ())


def test_an_asynchronous_provider_shows_nodes_and_says_why_no_times(folder: Build) -> None:
    cuda = "CUDAExecutionProvider"
    given = {"assigned_node_count_by_provider": {cuda: 19, CPU: 1}}
    found = evidence(rewritten(folder(steps=FEW, seeds=(0,)).write(), proven({"soft": 0.5}, cuda, **given)))
    (table,) = execution_tables(found)
    assert cells(table, "soft")["nodes"] == f"19 of 20, {CPU} 1"
    assert "kernel_time" not in cells(table, "soft")
    asked = next(column for column in build_table(found).columns if column.key == "asked")
    assert asked.cells[2].text == "95"


def test_the_page_has_the_section_and_its_files(partly: Path) -> None:
    written = render(partly, partly / "report", ("csv", "markdown"))
    assert {"execution.md", "execution.csv"} <= {path.name for path in written}
    text = page(evidence(partly), {}, partly / "report", written)
    assert '<h2 id="execution">What ran where</h2>' in text
    assert text.index('id="execution"') < text.index('id="cost"')
    assert '<a href="#execution">What ran where</a>' in text
    assert '<a href="execution.csv">' in text


def test_rows_for_programs_have_shares_and_units_in_their_names(partly: Path) -> None:
    found = evidence(partly)
    rows = [row for row in csv.DictReader(io.StringIO(executions(found))) if row["case"] == "soft"]
    assert [row["provider"] for row in rows[:2]] == [OPENVINO, CPU]
    assert [float(row["kernel_time_fraction"]) for row in rows[:2]] == [0.875, 0.125]
    measured = next(row for row in csv.DictReader(io.StringIO(measurements(found))) if row["case"] == "soft")
    assert float(measured["asked_kernel_time_fraction"]) == 0.875
    assert measured["effective_precision"] == "fp32"
    estimated = next(row for row in csv.DictReader(io.StringIO(estimates(found))) if row["case"] == "soft")
    assert float(estimated["asked_kernel_time_fraction"]) == 0.875


def test_markup_in_what_a_record_says_is_text(folder: Build) -> None:
    evil = "<b>|x`</b>"
    path = rewritten(folder(steps=FEW, seeds=(0,)).write(), proven({"soft": 0.5}, evil, provider_options={evil: evil}))
    found = evidence(path)
    assert "<b>|x" not in page(found, {}, path, ())
    assert "<b>|x" not in re.sub(r"`[^`]*`", "", execution_markdown(found)), "but for code, which is text"


@pytest.mark.parametrize(("share", "text"), [(1.0, "100"), (0.9999, "> 99"), (0.5, "50"), (0.0001, "< 1"), (0.0, "0")])
def test_only_the_whole_is_a_hundred_per_cent_and_only_nothing_is_none(share: float, text: str) -> None:
    assert share_text(share) == text
