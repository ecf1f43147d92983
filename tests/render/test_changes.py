"""Two runs side by side, and a folder of several: what changed is said with its size, what did not is not."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from folders import STEPS, Folder

from kdbench.cli import cli
from kdbench.evidence import evidence
from kdbench.evidence.changes import changes
from kdbench.evidence.grids import quotient
from kdbench.evidence.intervals import Estimate
from kdbench.render.report.changes import change_sentences
from kdbench.results import records
from kdbench.results.records import Latency, Record, Score, Size

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "pruned-structured")}


def rewritten(source: Path, to: Path, change: Callable[[Record], Record]) -> Path:
    """A copy of a results folder with other records."""
    to.mkdir()
    for name in ("plan.json", "predictions"):
        (to / name).symlink_to(source / name)
    records.append(to / "records.jsonl", [change(record) for record in records.read(source / "records.jsonl")])
    return to


def said(before: Path, after: Path) -> str:
    return " ".join(sentence.text for sentence in change_sentences(changes(evidence(before), evidence(after))))


def test_a_run_beside_itself_has_not_changed(folder: Build) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    text = said(path, path)
    assert "Accuracy: none of 4 cases can be told from before." in text
    assert "batch 1: none of 4 cases can be told from before." in text
    assert "Every file is as big as before." in text


def test_cases_that_came_and_went_are_named(folder: Build, tmp_path: Path) -> None:
    one = folder(steps=FEW, batch_sizes=(1,)).write()
    steps = {"from-scratch": [], "hard": STEPS["hard"]}
    other = Folder(tmp_path / "other", steps=steps, batch_sizes=(1,)).write()
    assert said(one, other).startswith("Added: `hard`. Gone: `soft` and `pruned-structured`.")


def test_a_faster_file_is_told_through_the_baseline_that_both_runs_timed(folder: Build, tmp_path: Path) -> None:
    """The whole second run at half the clock, and one case twice as fast besides: only that one has changed."""
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    text = said(path, rewritten(path, tmp_path / "b", _slow_but_soft))
    assert "`soft` is 2.00x (1." in text
    assert "the other 3 cannot be told from before" in text
    assert "drift" not in text


def _slow_but_soft(record: Record) -> Record:
    def times(factor: float, samples: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(factor * sample) for sample in process) for process in samples)

    if not isinstance(record, Latency):
        return record
    references = {digest: times(2, samples) for digest, samples in (record.reference_samples_ns or {}).items()}
    factor = 1 if record.case == "soft" else 2
    return replace(record, samples_ns=times(factor, record.samples_ns or ()), reference_samples_ns=references)


def test_latencies_of_another_machine_are_not_compared(folder: Build, tmp_path: Path) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    other = rewritten(path, tmp_path / "b", lambda r: replace(r, fingerprint="elsewhere"))
    text = said(path, other)
    assert "cpu, 1 thread is another machine or runtime than before: its latencies are not compared." in text
    assert "batch 1" not in text


def test_lost_accuracy_and_a_smaller_file_are_told(folder: Build, tmp_path: Path) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()

    def worse(record: Record) -> Record:
        if isinstance(record, Score) and record.case == "soft":
            return replace(record, value=0.5 + 0.001 * record.seed, predictions_path=None)
        if isinstance(record, Size) and record.case == "soft":
            return replace(record, onnx_bytes=106_000)
        return record

    text = said(path, rewritten(path, tmp_path / "b", worse))
    assert "Accuracy: `soft` loses 4" in text
    assert "Files: `soft` is 2.00x smaller." in text


def test_the_interval_of_a_ratio_adds_the_logs_in_squares() -> None:
    """3-4-5: half widths 0.3 and 0.4 of the logarithms give 0.5."""
    one = Estimate(2.0, 2.0 * math.exp(-0.3), 2.0 * math.exp(0.3), ())
    other = Estimate(1.0, math.exp(-0.4), math.exp(0.4), ())
    found = quotient(one, other)
    assert found.value == 2.0
    assert found.low == pytest.approx(2.0 * math.exp(-0.5))
    assert found.high == pytest.approx(2.0 * math.exp(0.5))


def test_render_of_two_folders_says_what_changed_and_writes_the_page(folder: Build, tmp_path: Path) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    done = CliRunner().invoke(cli, ["render", str(path), str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"Report: {tmp_path / 'out' / 'changes.html'}"
    assert "Every file is as big as before." in (tmp_path / "out" / "changes.html").read_text()


def test_a_folder_of_several_results_gets_one_page_that_leads_to_each(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Folder(tmp_path / name, steps=FEW, batch_sizes=(1,), seeds=(0,)).write()
    done = CliRunner().invoke(cli, ["render", str(tmp_path), "--format", "html"])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "index.html").read_text()
    assert 'href="one/report/index.html"' in text
    assert 'href="two/report/index.html"' in text
    assert (tmp_path / "two" / "report" / "index.html").is_file()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["render", str(tmp_path)])
    assert "holds no results; give a folder that `kdbench run -o FOLDER` wrote." in str(done.exception)
