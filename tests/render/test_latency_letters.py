"""Letters of latency as a reader meets them: behind a speed-up, in the CSV, in the legend and in sentences."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from folders import STEPS, TARGET, Folder
from rich.console import Console

from kdbench.evidence import CaseView, Evidence, evidence
from kdbench.render.report.latex import latex
from kdbench.render.report.markdown import markdown
from kdbench.render.report.terminal import as_text
from kdbench.render.report.tidy import estimates
from kdbench.render.tables.cells import Column
from kdbench.render.tables.table import build_table
from kdbench.results import records
from kdbench.results.records import CallSize, Labelled, Latency, labelled

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "soft-pruned-int8")}
SETTING = (TARGET, CallSize(1))
LEGEND = "Cases that share a letter cannot be told apart (all pairs, Holm)"


@pytest.fixture
def few(folder: Build) -> Evidence:
    return evidence(folder(steps=FEW).write())


def faster(found: Evidence) -> Column:
    return next(column for column in build_table(found).columns if column.key == "speedup")


def with_letters(found: Evidence, letters: Mapping[str, str]) -> Evidence:
    """The first setting's letters as if these had come out."""

    def dressed(case: CaseView) -> CaseView:
        view = replace(case.latency[SETTING], letters=letters[case.name])
        return replace(case, latency={**case.latency, SETTING: view})

    return replace(found, cases=tuple(dressed(case) for case in found.cases))


def test_a_letter_stands_behind_every_speed_up_the_fastest_case_has_the_first(few: Evidence) -> None:
    """A teacher of 310 us, students of 92, 92 and 18 with 1 % of noise: nothing but the two can be mistaken."""
    cells = dict(zip((case.name for case in few.cases), faster(few).cells, strict=True))
    assert {name: cell.letters for name, cell in cells.items()} == {
        "teacher": "c", "from-scratch": "b", "soft": "b", "soft-pruned-int8": "a",
    }  # fmt: skip
    assert cells["from-scratch"].unmarked == "baseline b"


def test_every_form_shows_the_letter(few: Evidence, tmp_path: Path) -> None:
    text = as_text(few, Console(width=160, force_terminal=False, color_system=None))
    assert next(line for line in text.splitlines() if line.startswith("from-scratch")).count("baseline b") >= 1
    assert "| baseline <sup>b</sup> |" in markdown(few)
    assert r"{baseline} & \textsuperscript{b}" in latex(few)
    rows = list(csv.DictReader(io.StringIO(estimates(few))))
    assert {row["case"]: row["latency_group"] for row in rows if row["batch_size"] == "1"}["soft-pruned-int8"] == "a"


def test_the_page_shows_the_letter(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert 'baseline<span class="letters">' in page
    assert "behind Faster, in latency at that setting" in page


def test_the_legend_says_what_letters_are_of(few: Evidence) -> None:
    legend = build_table(few).legend
    assert f"{LEGEND}: behind an accuracy, in accuracy; behind Faster, in latency at that setting." in legend
    assert not any(sentence.startswith("Without a letter") for sentence in legend)


def test_a_single_file_has_no_letter_and_no_legend(folder: Build) -> None:
    found = evidence(folder(steps={"from-scratch": []}, seeds=(0,), without_latency=frozenset({"teacher"})).write())
    assert not any(cell.letters for cell in faster(found).cells)
    assert not any("share a letter" in sentence for sentence in build_table(found).legend)


def test_a_case_of_two_processes_has_none_and_the_legend_says_why(folder: Build) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    lines = labelled(records.read(path / "records.jsonl"))
    lines = [_shortened(line) if line.case == "soft" else line for line in lines]
    (path / "records.jsonl").unlink()
    records.append(path / "records.jsonl", lines)
    found = evidence(path)
    letters = {case.name: case.latency[SETTING].letters for case in found.cases}
    assert letters == {"teacher": "c", "from-scratch": "b", "soft": "", "soft-pruned-int8": "a"}
    assert any(sentence.startswith("Without a letter behind Faster") for sentence in build_table(found).legend)


def _shortened(line: Labelled) -> Labelled:
    """Its first two processes alone."""
    if not isinstance(line, Latency):
        return line
    references = {digest: samples[:2] for digest, samples in (line.reference_samples_ns or {}).items()}
    return replace(line, samples_ns=(line.samples_ns or ())[:2], reference_samples_ns=references)
