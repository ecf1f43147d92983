"""Which file of a report holds what."""

from collections.abc import Callable, Sequence
from pathlib import Path

from kdbench.evidence import Evidence, evidence
from kdbench.render.figures import draw
from kdbench.render.figures.canvas import COLUMN_WIDTH, Figure
from kdbench.render.figures.pictures import save
from kdbench.render.report import tidy
from kdbench.render.report.latex import latex
from kdbench.render.report.markdown import compression_markdown, execution_markdown, markdown, throughput_markdown
from kdbench.render.report.page import page
from kdbench.render.verbs.choice import asked_sentences

IMAGES = ("png", "svg", "pdf")
COLUMN = "-column"
"""Ends the name of a figure that fits a paper's column."""
TEXTS: dict[str, tuple[tuple[str, Callable[[Evidence], str]], ...]] = {
    "markdown": (
        ("table.md", markdown),
        ("compression.md", compression_markdown),
        ("execution.md", execution_markdown),
        ("throughput.md", throughput_markdown),
    ),
    "latex": (("table.tex", latex),),
    "csv": (
        ("measurements.csv", tidy.measurements),
        ("estimates.csv", tidy.estimates),
        ("execution.csv", tidy.executions),
    ),
}
"""Format -> the files it makes, and how; one without text is not written."""


def write(results: Path, out: Path, formats: Sequence[str]) -> list[Path]:
    """Every file of the formats asked for, figures drawn once a width; the page first."""
    found = evidence(results)
    out.mkdir(parents=True, exist_ok=True)
    figures = draw(found) if {*IMAGES, "html"} & set(formats) else ()
    written = [*_pictures(found, figures, out, formats), *_texts(found, out, formats), *_parquet(found, out, formats)]
    if "html" not in formats:
        return written
    text = page(found, figures, out, written, asked_sentences(found))
    return [_saved(out / "index.html", text), *written]


def _pictures(found: Evidence, figures: Sequence[Figure], out: Path, formats: Sequence[str]) -> list[Path]:
    """PDFs, which are for papers, at the width of a column too."""
    drawn = {figure.name: figure for figure in figures}
    wanted = {out / "figures" / f"{name}.{kind}": figure for kind in IMAGES if kind in formats
              for name, figure in drawn.items()}  # fmt: skip
    if "pdf" in formats:
        wanted |= {out / "figures" / f"{figure.name}{COLUMN}.pdf": figure for figure in draw(found, COLUMN_WIDTH)}
    for path, figure in wanted.items():
        path.parent.mkdir(exist_ok=True)
        save(figure, path)
    return list(wanted)


def _texts(found: Evidence, out: Path, formats: Sequence[str]) -> list[Path]:
    made = [pair for kind, pairs in TEXTS.items() if kind in formats for pair in pairs]
    return [_saved(out / name, text) for name, write_text in made if (text := write_text(found))]


def _saved(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _parquet(found: Evidence, out: Path, formats: Sequence[str]) -> list[Path]:
    if "parquet" not in formats:
        return []
    path = out / "measurements.parquet"
    tidy.write_frame(tidy.frame(found), path)
    return [path]
