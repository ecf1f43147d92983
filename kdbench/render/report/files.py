"""The files of a report: page, figures, and what its sections say beside the page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kdbench.evidence import Evidence, evidence
from kdbench.render.figures.canvas import COLUMN_WIDTH, PAGE_WIDTH, Figure, style
from kdbench.render.figures.pictures import save
from kdbench.render.report import tidy
from kdbench.render.report.blocks import Drawer
from kdbench.render.report.page import page
from kdbench.render.sections import SECTIONS

IMAGES = ("png", "svg", "pdf")
COLUMN = "-column"
"""Ends the name of a figure that fits a paper's column."""
SUFFIXES = {"markdown": ".md", "latex": ".tex", "csv": ".csv"}
"""The formats that are text, and how their files' names end."""


def write(results: Path, out: Path, formats: Sequence[str]) -> list[Path]:
    """Write every file of the formats asked for; the paths, the page first. Figures are drawn once for each width."""
    found = evidence(results)
    out.mkdir(parents=True, exist_ok=True)
    figures = draw(found) if {*IMAGES, "html"} & set(formats) else {}
    narrow = draw(found, COLUMN_WIDTH) if {"pdf", "html"} & set(formats) else {}
    written = [*_pictures(figures, narrow, out, formats), *_texts(found, out, formats), *_parquet(found, out, formats)]
    if "html" not in formats:
        return written
    return [_saved(out / "index.html", page(found, figures, out, written, narrow)), *written]


def draw(found: Evidence, inches: float = PAGE_WIDTH) -> Mapping[Drawer, Figure]:
    """The figures of all sections that the records carry, in the page's order, for paper of a width in inches."""
    with style():
        drawn = {drawer: drawer(found, inches) for section in SECTIONS for drawer in section.drawers}
    return {drawer: figure for drawer, figure in drawn.items() if figure is not None}


def _pictures(
    figures: Mapping[Drawer, Figure], narrow: Mapping[Drawer, Figure], out: Path, formats: Sequence[str]
) -> list[Path]:
    """Write the figures; PDFs, which are for papers, at the width of a column too."""
    wanted = {out / "figures" / f"{figure.name}.{kind}": figure for kind in IMAGES if kind in formats
              for figure in figures.values()}  # fmt: skip
    if "pdf" in formats:
        wanted |= {out / "figures" / f"{figure.name}{COLUMN}.pdf": figure for figure in narrow.values()}
    for path, figure in wanted.items():
        path.parent.mkdir(exist_ok=True)
        save(figure, path)
    return list(wanted)


def _texts(found: Evidence, out: Path, formats: Sequence[str]) -> Iterator[Path]:
    """Write the sections' files, in the order of the formats; a file without text is left out."""
    for suffix in (suffix for kind, suffix in SUFFIXES.items() if kind in formats):
        for section in SECTIONS:
            for name, made in section.texts.items():
                if name.endswith(suffix) and (text := made(found)):
                    yield _saved(out / name, text)


def _saved(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _parquet(found: Evidence, out: Path, formats: Sequence[str]) -> list[Path]:
    if "parquet" not in formats:
        return []
    path = out / "measurements.parquet"
    tidy.write_frame(tidy.frame(found), path)
    return [path]
