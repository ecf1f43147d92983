"""The report's sections: one list makes page, Markdown, CSV and figures; a section is an object."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from enriched import on_board, proven, rewritten, sampled
from folders import STEPS, Folder

from kdbench.evidence import evidence
from kdbench.render import render
from kdbench.render.report import files
from kdbench.render.report import page as pages
from kdbench.render.report.blocks import Grid, Line, Link, Prose, Section
from kdbench.render.report.markdown import markdown
from kdbench.render.report.page import page
from kdbench.render.report.tidy import measurements
from kdbench.render.sections import SECTIONS
from kdbench.results import records
from kdbench.results.records import Record

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}


def test_every_section_has_an_id_of_its_own_and_stands_in_the_lists_order(report: Path) -> None:
    ids = [section.id for section in SECTIONS]
    assert len(set(ids)) == len(ids)
    shown = re.findall(r'<h2 id="([^"]+)"', (report / "index.html").read_text(encoding="utf-8"))
    assert shown == [section_id for section_id in ids if section_id in shown]
    assert len(shown) > 8


def test_a_new_section_is_one_object_in_the_list(
    folder: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with a paragraph, a small table and a file; the page lists it and its table links what it names."""
    grid = Grid("Power", (("Case", ""), ("Energy", "mJ")), (Line(("soft", Link("<3>", "a.csv"))),))
    power = Section(
        "power", "Power & more", lambda report, _: [Prose("Read at the socket."), grid],
        texts={"power.md": lambda found: "12 mJ\n", "nothing.csv": lambda found: ""},
    )  # fmt: skip
    for module in (pages, files):
        monkeypatch.setattr(module, "SECTIONS", (*SECTIONS, power))
    path = folder(steps=FEW, seeds=(0,), batch_sizes=(1,)).write()
    written = render(path, tmp_path / "out", ("markdown", "csv"))
    assert (tmp_path / "out" / "power.md").read_text() == "12 mJ\n"
    assert "nothing.csv" not in {path.name for path in written}
    text = page(evidence(path), {}, tmp_path / "out", written)
    assert '<a href="#power">Power &amp; more</a>' in text
    assert text.index('id="again"') < text.index('id="power"') < text.index("Read at the socket.")
    assert '<a href="a.csv">&lt;3&gt;</a>' in text
    assert '<a href="power.md">power.md</a>' in text


def test_a_section_says_each_footnote_and_each_line_of_its_legend_once(folder: Build, tmp_path: Path) -> None:
    targets = ("local-cpu-1t-fp32", "board-cpu-1t-fp32")
    path = rewritten(folder(steps=FEW, targets=targets, origins=True, seeds=(0,)).write(), on_board, sampled, proven())
    text = page(evidence(path), {}, tmp_path, ())
    for section in re.split(r"<section ", text)[1:]:
        for kind in ("notes", "legend"):
            lists = re.findall(rf'<[ou]l class="{kind}">(.*?)</[ou]l>', section, flags=re.DOTALL)
            said = re.findall(r"<li[^>]*>(.*?)</li>", "".join(lists))
            assert len(said) == len(set(said))
            assert len(lists) <= 1


def test_marks_of_several_footnotes_stand_apart(folder: Build, tmp_path: Path) -> None:
    warnings = ("the first warning", "the second warning")
    builder = folder(steps=FEW, seeds=(0,), batch_sizes=(1,))
    path = builder.write()
    kept = [_warned(record, warnings) for record in records.read(path / "records.jsonl")]
    (path / "records.jsonl").unlink()
    records.append(path / "records.jsonl", kept)
    text = page(evidence(path), {}, tmp_path, ())
    assert re.search(r'<a class="note" href="#note-(\d)">\1</a>,<a class="note" href="#note-(\d)">\2</a>', text)


def _warned(record: Record, warnings: tuple[str, ...]) -> Record:
    from dataclasses import replace

    from kdbench.results.records import Latency

    return replace(record, warnings=warnings) if isinstance(record, Latency) and record.case == "soft" else record


def test_without_a_teacher_nothing_is_compared_with_one(folder: Build, tmp_path: Path) -> None:
    path = folder(steps=FEW, batch_sizes=(1,), origins=True).write()
    found = evidence(rewritten(path, lambda record: [] if getattr(record, "case", "") == "teacher" else [record]))
    text = page(found, {}, tmp_path, ())
    assert "Agrees with teacher" not in text
    assert "x teacher" not in text
    assert "this one teacher" not in text


def test_a_name_with_line_ends_stays_on_its_line_in_markdown(folder: Build) -> None:
    evil = "soft\n\n# Injected\n\n| a |"
    text = markdown(evidence(folder(steps={"from-scratch": [], evil: STEPS["soft"]}, seeds=(0,)).write()))
    assert not [line for line in text.splitlines()[1:] if line.startswith("#")]
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 3


def test_a_name_that_a_spreadsheet_would_compute_is_text_in_the_csv(folder: Build) -> None:
    evil = '=HYPERLINK("http://x")'
    found = evidence(folder(steps={"from-scratch": [], evil: STEPS["soft"]}, seeds=(0,), batch_sizes=(1,)).write())
    rows = list(csv.DictReader(io.StringIO(measurements(found))))
    assert {row["case"] for row in rows} == {"teacher", "from-scratch", f"'{evil}"}
    assert all(not value.startswith("=") for row in rows for value in row.values())
