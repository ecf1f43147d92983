"""The figure: how often each gate calls a file slower, over how much slower it was measured to be."""

from collections.abc import Sequence
from pathlib import Path

from cells import GATE, NAIVE, Cell, percent_slower
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdbench.render.figures.canvas import INK, MUTED, PAGE_WIDTH, style

NAME = "called-slower"
COLORS = {GATE: INK, "means": "#e69f00", "medians": "#0072b2", "ranks": "#cc79a7"}
"""Okabe and Ito 2008."""
MARKERS = "os^D"
ALSO = 0.12
"""How far the gates' markers are moved apart, in per cent, so that their intervals do not overlap."""


def draw(found: Sequence[Cell], out: Path) -> None:
    """Save the figure as PNG and SVG: a panel for each machine, a marker for each network."""
    machines = sorted({cell.busy for cell in found})
    networks = sorted({cell.network for cell in found})
    with style():
        paper = Figure(figsize=(PAGE_WIDTH, 2.8), layout="constrained")
        FigureCanvasAgg(paper)
        panels = paper.subplots(1, len(machines), sharey=True, squeeze=False)[0]
        for axes, busy in zip(panels, machines, strict=True):
            _panel(axes, [cell for cell in found if cell.busy == busy], networks)
            axes.set_title("Beside a busy process" if busy else "Without it")
        panels[0].set_ylabel("Rows called slower, %")
        paper.legend(handles=_legend(networks), loc="outside lower center", ncols=2)
        for kind in ("png", "svg"):
            paper.savefig(out / f"{NAME}.{kind}", metadata={"Date": None} if kind == "svg" else {})


def _panel(axes: Axes, found: Sequence[Cell], networks: Sequence[str]) -> None:
    axes.axhline(95, color=MUTED, linewidth=0.8, linestyle=":")
    for network, marker in zip(networks, MARKERS, strict=False):
        mine = [cell for cell in found if cell.network == network]
        for place, gate in enumerate(COLORS):
            _line(axes, [cell for cell in mine if gate in cell.alarms], gate, marker, ALSO * (place - 1.5))
    axes.set_xlabel("Slower by, %, as measured")
    axes.set_ylim(-4, 104)


def _line(axes: Axes, found: Sequence[Cell], gate: str, marker: str, beside: float) -> None:
    places = [percent_slower(cell.measured)[0] + beside for cell in found]
    rates = [cell.alarms[gate] for cell in found]
    values = [100 * rate.value for rate in rates]
    bounds = [[100 * (rate.value - rate.interval[0]) for rate in rates],
              [100 * (rate.interval[1] - rate.value) for rate in rates]]  # fmt: skip
    wide = 1.6 if gate == GATE else 0.9
    axes.errorbar(places, values, yerr=bounds, color=COLORS[gate], marker=marker, linewidth=wide, markersize=4)


def _legend(networks: Sequence[str]) -> list[Line2D]:
    said = {GATE: GATE, **NAIVE}
    gates = [Line2D([], [], color=color, label=said[gate]) for gate, color in COLORS.items()]
    shapes = zip(networks, MARKERS, strict=False)
    return [*gates, *(Line2D([], [], color=MUTED, marker=marker, linestyle="", label=name) for name, marker in shapes)]
