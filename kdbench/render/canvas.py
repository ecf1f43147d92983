"""Paper, palette and the way to files: what every figure shares. Knows no records."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Paper
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from kdbench import units

PAGE_WIDTH, COLUMN_WIDTH = 6.9, 3.35
"""Inches: a page and a column of a paper."""
INK, MUTED, GRID, GREY = "#20242a", "#8a929c", "#e3e6ea", "#b4bac2"
COLORS = {
    "reference": INK,
    "distillation": "#0072b2",
    "pruning": "#e69f00",
    "quantization": "#009e73",
    "chain": "#cc79a7",
    "other": "#56b4e9",
}
"""Okabe and Ito 2008: distinct for colour-blind readers too."""
MARKERS = {"reference": "D", "distillation": "o", "pruning": "s", "quantization": "^", "chain": "P", "other": "v"}
"""So that grey print works."""
LONGEST_NAME, LONGEST_TITLE = 26, 46
"""Characters that a label, and a panel half a page wide, have room for."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure with the words that go with it."""

    name: str
    title: str
    caption: str
    alt: str
    paper: Paper


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside: kdbench's style over matplotlib's defaults, whatever the user's own settings are."""
    with as_file(files("kdbench.render") / "kdbench.mplstyle") as path, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(mpl.rc_params_from_file(path, use_default_template=False))
        yield


def panels(count: int, width: int, height: float, share_x: bool = False) -> tuple[Paper, list[Axes]]:
    """`count` panels, at most `width` in a row, each `height` inches high, with one y axis for all."""
    wide = max(1, min(width, count))
    rows = -(-count // wide)
    paper = Paper(figsize=(PAGE_WIDTH, height * rows), layout="constrained")
    FigureCanvasAgg(paper)
    grid = paper.subplots(rows, wide, sharey=True, sharex=share_x, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    for lowest in axes[max(0, count - wide) : count]:
        lowest.tick_params(labelbottom=True)
    return paper, axes[:count]


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as a figure has room for it: both ends stay, they are what tells names apart."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def log_axis(axes: Axes, values: Sequence[float], scale: Sequence[units.Unit], margin: float = 1.1) -> None:
    """A logarithmic x axis over positive `values`, its ticks plain numbers in one unit."""
    low, high = min(values) / margin, max(values) * margin
    unit = units.common_unit([low], scale)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([tick * unit.size for tick in _ticks(low / unit.size, high / unit.size)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit.size:,.4g}"))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xlabel(f"{axes.get_xlabel()}, {unit.name}")


def _ticks(low: float, high: float) -> list[float]:
    """The finest of three ladders of round numbers that gives at most six ticks, else every tenth power."""
    powers = [10.0**exponent for exponent in range(-3, 10)]
    for ladder in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3)):
        found = [step * power for power in powers for step in ladder if low <= step * power <= high]
        if len(found) <= 6:
            return found
    return [power for power in powers if low <= power <= high]


def family_legend(paper: Paper, families: Sequence[str]) -> None:
    """What the colours and markers mean, below the panels."""
    handles = [
        Line2D([], [], color=COLORS[family], marker=MARKERS[family], linestyle="", label=family)
        for family in COLORS
        if family in families
    ]
    paper.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)


def save(figure: Figure, path: Path) -> None:
    """As the file's suffix says (png, svg, pdf), the same bytes each time."""
    dates = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    metadata = dates.get(path.suffix, {"CreationDate": None, "Creator": None, "Producer": None})
    with style():
        figure.paper.savefig(path, metadata=metadata)


def inline_svg(figure: Figure) -> str:
    """The figure as an element for a page: ids of its own, colours from the page's variables, no prolog."""
    text = io.StringIO()
    with style():
        figure.paper.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"<metadata>.*?</metadata>", "", text.getvalue()[text.getvalue().index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{figure.name}-", svg)
    svg = re.sub(
        r'<svg ([^>]*?)width="[^"]*pt" ?', r"<svg \1", re.sub(r'height="[^"]*pt" ?', "", svg, count=1), count=1
    )
    for color, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "line"), (GREY, "faint"), ("#ffffff", "paper")):
        svg = svg.replace(color, f"var(--{variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
