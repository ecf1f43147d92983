"""Paper, palette, names and axes, which all figures share."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Paper
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.evidence.groups import pareto_front
from kdbench.results.records import TEACHER

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
TEXT_COLORS = {
    "reference": INK,
    "distillation": "#00578a",
    "pruning": "#855b00",
    "quantization": "#00694d",
    "chain": "#8e4a72",
    "other": "#1f6a96",
}
"""The families' colours, dark enough for small text: contrast of 4.5 : 1 against white or more (WCAG 2)."""
MARKERS = {"reference": "D", "distillation": "o", "pruning": "s", "quantization": "^", "chain": "P", "other": "v"}
"""A marker for each family, for grey print."""
LONGEST_NAME, LONGEST_TITLE = 26, 46
"""Characters that a label, and a panel half a page wide, have room for."""
MOST_NAMED, FEWEST_NAMED = 25, 10
"""A figure names all cases up to MOST_NAMED. With more, it names the references and the front, filled up to
FEWEST_NAMED."""
OWNER = "case-"
"""Begins the id of a mark that belongs to a case."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure with the words that go with it."""

    name: str
    title: str
    caption: str
    alt: str
    paper: Paper

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG file, the same bytes each time."""
        text = io.StringIO()
        with style():
            FigureCanvasSVG(self.paper).print_svg(text, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
        return text.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside: kdbench's style over matplotlib's defaults, whatever the user's own settings are.

    A name in letters that the font lacks is no trouble: in an SVG it is text, which the reader's own fonts show.
    """
    with as_file(files("kdbench.render") / "kdbench.mplstyle") as path, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(mpl.rc_params_from_file(path, use_default_template=False))
        yield


def panels(
    count: int, most: int, height: float, share_x: bool = False, inches: float = PAGE_WIDTH
) -> tuple[Paper, list[Axes]]:
    """`count` panels on a paper of a width in inches, one y axis for all.

    At most `most` stand in a row of a page, fewer on narrower paper; each is `height` inches high.
    """
    wide = in_a_row(count, most, inches)
    rows = -(-count // wide)
    paper = Paper(figsize=(inches, height * rows), layout="constrained")
    FigureCanvasAgg(paper)
    grid = paper.subplots(rows, wide, sharey=True, sharex=share_x, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    for lowest in axes[max(0, count - wide) : count]:
        lowest.tick_params(labelbottom=True)
    return paper, axes[:count]


def in_a_row(count: int, most: int, inches: float) -> int:
    """How many of `count` panels stand side by side."""
    return max(1, min(count, round(most * inches / PAGE_WIDTH)))


def colored(family: str) -> str:
    """A family's colour; a family that nobody knows has that of "other"."""
    return COLORS.get(family, COLORS["other"])


def text_colored(family: str) -> str:
    """A family's colour for text."""
    return TEXT_COLORS.get(family, TEXT_COLORS["other"])


def marker(family: str) -> str:
    """A family's marker."""
    return MARKERS.get(family, MARKERS["other"])


def owned(case: CaseView, *artists: Artist) -> None:
    """Tag marks with their case, so that a page can highlight them."""
    for artist in artists:
        artist.set_gid(owner(case.name))


def owner(name: str) -> str:
    """The id of a case's marks, safe in any markup."""
    return f"{OWNER}{name.encode().hex()}"


def notable(evidence: Evidence) -> list[CaseView]:
    """The cases that a figure has room for: all, or the references and those that no other beats."""
    if len(evidence.cases) <= MOST_NAMED:
        return list(evidence.cases)
    first, rest = by_note(evidence)
    return [*first, *rest][: max(len(first), FEWEST_NAMED)][:MOST_NAMED]


def by_note(evidence: Evidence) -> tuple[list[CaseView], list[CaseView]]:
    """(references and cases that no other beats, all other cases)."""
    kept, scale = {TEACHER, evidence.results.plan.baseline}, evidence.scale
    for setting in evidence.settings:
        points = {
            case.name: (case.latency[setting].placed_ns.value, scale.goodness(case.score[setting[0]].estimate.value))
            for case in evidence.cases
            if setting in case.latency and setting[0] in case.score
        }
        kept |= set(pareto_front(points))
    found = [case for case in evidence.cases if case.name in kept]
    return found, [case for case in evidence.cases if case.name not in kept]


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A name cut in the middle to `longest` characters: its ends tell it from others."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def log_axis(
    axes: Axes, values: Sequence[float], scale: Sequence[units.Unit], margin: float = 1.1, name: str = "x"
) -> None:
    """A logarithmic axis, "x" or "y", over positive `values`, its ticks plain numbers in one unit."""
    low, high = min(values) / margin, max(values) * margin
    unit = units.common_unit([low], scale)
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    axis = axes.yaxis if name == "y" else axes.xaxis
    axis.set_major_locator(FixedLocator([tick * unit.size for tick in _ticks(low / unit.size, high / unit.size)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit.size:,.4g}"))
    axis.set_minor_locator(FixedLocator([]))
    axis.set_label_text(f"{axis.get_label_text()}, {unit.name}")


def _ticks(low: float, high: float) -> list[float]:
    """The finest of three ladders of round numbers that gives at most six ticks, else every tenth power."""
    powers = [10.0**exponent for exponent in range(-3, 10)]
    for ladder in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3)):
        found = [step * power for power in powers for step in ladder if low <= step * power <= high]
        if len(found) <= 6:
            return found
    return [power for power in powers if low <= power <= high]


def family_legend(paper: Paper, families: Sequence[str]) -> None:
    """Draw the legend of colours and markers below the panels."""
    handles = [
        Line2D([], [], color=COLORS[family], marker=MARKERS[family], linestyle="", label=family)
        for family in COLORS
        if family in families
    ]
    columns = max(1, min(len(handles), int(paper.get_figwidth() / 1.1)))
    paper.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.2)
