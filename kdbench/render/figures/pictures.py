"""Drawn figures as files, and as elements of a page that take part in its colours."""

import io
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
"""Colours that the page sets anew in the dark."""
NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What would make the same figure other bytes tomorrow."""


def save(figure: Figure, path: Path) -> None:
    """As the file's suffix says (png, svg, pdf), the same bytes each time."""
    if path.suffix == ".svg":
        path.write_text(re.sub(rf' id="{OWNER}[0-9a-f]*"', "", _svg(figure)), encoding="utf-8", newline="\n")
        return
    with style():
        figure.paper.savefig(path, metadata=NO_DATE[path.suffix[1:]])


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

    def inline(self, figure: Figure) -> str:
        """The figure as an `svg` element with ids of its own and no style but classes."""
        svg = _svg(figure)
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
        svg = re.sub(rf'\bid="({OWNER}[0-9a-f]*)"', self._owner, svg)
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', svg)
        svg = re.sub(r'(href="#|url\(#)', rf"\1{figure.name}-", svg)
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


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with style():
        figure.paper.savefig(text, format="svg", metadata=NO_DATE["svg"])
    return text.getvalue()


def _without_unused_ids(svg: str) -> str:
    """Only ids that something in the figure refers to are worth their bytes."""
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    kept = {one or other for one, other in used}
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in kept else "", svg)
