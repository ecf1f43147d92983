"""Suites that try to break the report: a correct page, table and list in every form."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from folders import STEPS, Folder
from hostile import HOSTILE

from kdbench.evidence import evidence
from kdbench.render.report.latex import latex

Build = Callable[..., Folder]
LATEX = shutil.which("pdflatex")
PAPER = r"\documentclass{article}\usepackage[paperwidth=60cm,margin=1cm]{geometry}\usepackage{booktabs,siunitx}" \
    r"\begin{document}\input{table}\end{document}"  # fmt: skip


class Texts(HTMLParser):
    """The rows' headings, and how many elements could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.scripts = 0
        self.handlers: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [
            name
            for name, value in attrs
            if name.startswith("on") or (name in ("href", "src") and "javascript:" in str(value))
        ]
        if (tag, dict(attrs).get("scope")) == ("th", "row"):
            self._inside = True
            self.names.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "th"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.names[-1] += data


def test_every_name_stands_in_the_page_as_the_text_it_is(hostile: Path) -> None:
    page = Texts()
    page.feed((hostile / "report" / "index.html").read_text(encoding="utf-8"))
    shown = {name[1:].strip() for name in page.names}
    assert set(HOSTILE) <= shown
    assert page.scripts == 1
    assert page.handlers == []


def test_every_name_comes_back_from_the_csv(hostile: Path) -> None:
    rows = csv.DictReader(io.StringIO((hostile / "report" / "measurements.csv").read_text(encoding="utf-8")))
    names = {row["case"] for row in rows}
    assert set(HOSTILE) - {HOSTILE[4]} <= {name.removeprefix("'") for name in names}
    assert "'-->]]>" in names, "which a spreadsheet would compute"


def test_a_case_of_one_seed_and_a_failed_one_say_so(hostile: Path) -> None:
    text = (hostile / "report" / "index.html").read_text(encoding="utf-8")
    assert "1 seed only; the others were not recorded" in text
    assert "failed (seeds 0, 1, 2): &lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_markdown_holds_one_line_a_case(hostile: Path) -> None:
    text = (hostile / "report" / "table.md").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 2 + len(HOSTILE)
    assert "<script" not in re.sub(r"`[^`]*`", "", text), "but for code, which is text"


@pytest.mark.skipif(LATEX is None, reason="no pdflatex here")
@pytest.mark.parametrize("kind", ["usual", "hostile", "one seed"])
def test_the_latex_table_compiles(kind: str, quickstart: Path, hostile: Path, folder: Build, tmp_path: Path) -> None:
    few = {"from-scratch": [], "soft": STEPS["soft"]}
    one = folder(steps=few, seeds=(0, 1), batch_sizes=(1,)).write()
    text = latex(evidence({"usual": quickstart, "hostile": hostile, "one seed": one}[kind]))
    (tmp_path / "table.tex").write_text(text.replace("名前", "").replace("Ünïcödé", ""), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(PAPER)
    done = subprocess.run(
        [str(LATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_numbers_stand_in_siunitx_columns_with_their_intervals_beside_them(quickstart: Path) -> None:
    text = latex(evidence(quickstart))
    row = next(line for line in text.splitlines() if line.startswith("int8-static"))
    assert r"S[table-format=2.1(2),separate-uncertainty=true]@{\,}l" in text
    assert " +- " in row
    assert row.endswith(r" \\")
    assert len({line.count(" & ") for line in text.splitlines() if line.endswith(r"\\") and " to " in line}) == 1
