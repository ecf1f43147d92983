"""Drawn figures as files, and as elements of a page that take part in its colours."""

import re
from collections.abc import Iterable
from html import unescape
from pathlib import Path

from kdbench.render.figures.canvas import COLORS, GREY, GRID, INK, MUTED, OWNER, TEXT_COLORS, Figure, owner, style

VARIABLES = {
    **{color: family for family, color in COLORS.items()},
    **{color: f"{family}-text" for family, color in TEXT_COLORS.items()},
    INK: "ink", MUTED: "muted", GRID: "line", GREY: "faint", "#ffffff": "paper",
}  # fmt: skip
"""Colours that the page replaces in its dark style."""
NO_DATE = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Metadata to leave out, because they would give the same figure other bytes every day."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its path's suffix says (png, svg, pdf), with the same bytes each time."""
    if path.suffix == ".svg":
        path.write_text(re.sub(rf' id="{OWNER}[0-9a-f]*"', "", figure.svg), encoding="utf-8", newline="\n")
        return
    with style():
        figure.paper.savefig(path, metadata=NO_DATE[path.suffix[1:]])


NO_LINE = re.compile(r'<path d="M [-\d.]+ [-\d.]+ \n" [^>]*/>')
"""A line through a single point, which has no ink."""


class Sheet:
    """Collects the styles of a page's figures: each once, as a class, so that a strict policy lets them stand."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: of the cases in the page's order; a mark carries its case's place in it."""
        self._places = {owner(name): place for place, name in enumerate(names)}
        self._classes: dict[str, str] = {}

    @property
    def css(self) -> str:
        """The rules that the figures' classes need."""
        return "\n".join(f".{name} {{ {rule} }}" for rule, name in self._classes.items())

    def inline(self, figure: Figure, prefix: str = "") -> str:
        """The figure as an `svg` element with ids of its own and no style but classes.

        `prefix` tells the ids of a second drawing of the same figure from the first one's.
        """
        name = f"{prefix}{figure.name}"
        svg = figure.svg[figure.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
        svg = re.sub(r">\s+<", "><", NO_LINE.sub("", svg))
        svg = re.sub(rf'\bid="({OWNER}[0-9a-f]*)"', self._owner, svg)
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
        svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
        svg = re.sub(r'\bstyle="([^"]*)"', self._class, svg)
        head, rest = _without_unused_ids(svg).split(">", 1)
        head = re.sub(r' (?:width|height)="[^"]*"', "", head)
        return f'<svg aria-hidden="true" focusable="false"{head.removeprefix("<svg")}>{rest}'

    def _owner(self, found: re.Match[str]) -> str:
        return f'data-case="{self._places[found[1]]}"'

    def _class(self, found: re.Match[str]) -> str:
        rule = unescape(found[1]).strip()
        for color, variable in VARIABLES.items():
            rule = rule.replace(color, f"var(--{variable})")
        return f'class="{self._classes.setdefault(rule, f"f{len(self._classes)}")}"'


def _without_unused_ids(svg: str) -> str:
    """Only ids that something in the figure refers to are worth their bytes."""
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    kept = {one or other for one, other in used}
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in kept else "", svg)
