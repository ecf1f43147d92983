"""Which file of a report holds what."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.evidence import Evidence, evidence
from kdbench.render.canvas import Figure, save
from kdbench.render.figures import draw
from kdbench.render.markdown import markdown
from kdbench.render.page import page
from kdbench.render.tidy import estimates, measurements

IMAGES = ("png", "svg", "pdf")


def write(results: Path, out: Path, formats: Sequence[str]) -> list[Path]:
    """Every file of the formats asked for, figures drawn once; the page first."""
    found = evidence(results)
    images = [kind for kind in IMAGES if kind in formats]
    figures = draw(found) if images or "html" in formats else ()
    out.mkdir(parents=True, exist_ok=True)
    names = {"html": ("index.html",), "markdown": ("table.md",), "csv": ("measurements.csv", "estimates.csv")}
    pictures = [out / "figures" / f"{figure.name}.{kind}" for figure in figures for kind in images]
    texts = [out / name for kind, files in names.items() if kind in formats for name in files]
    _save(figures, pictures)
    for path in texts:
        path.write_text(_text(path, found, figures, [*texts, *pictures]), encoding="utf-8", newline="\n")
    return [*texts, *pictures]


def _save(figures: Sequence[Figure], pictures: Sequence[Path]) -> None:
    by_name = {figure.name: figure for figure in figures}
    for path in pictures:
        path.parent.mkdir(exist_ok=True)
        save(by_name[path.stem], path)


def _text(path: Path, found: Evidence, figures: Sequence[Figure], written: Sequence[Path]) -> str:
    if path.name == "index.html":
        return page(found, figures, path.parent, written)
    made = {"table.md": markdown, "measurements.csv": measurements, "estimates.csv": estimates}
    return made[path.name](found)
