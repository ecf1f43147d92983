"""A grid over one number as a line: accuracy against the field that the cases vary, beside the baseline's."""

import re
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from kdbench.evidence import CaseView, Evidence
from kdbench.evidence.intervals import Estimate
from kdbench.render.figures.canvas import (
    LONGEST_TITLE,
    MUTED,
    PAGE_WIDTH,
    Figure,
    colored,
    marker,
    owned,
    panels,
    short,
)
from kdbench.render.tables.score_columns import distinct, rates
from kdbench.render.words.words import listed, seeds_name
from kdbench.results.records import TEACHER
from kdbench.scale import Scale

NAME = re.compile(r"(?P<group>.+)/(?P<field>[A-Za-z_]\w*)=(?P<value>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")
"""How a suite names the cases of a grid over one number."""
FEWEST_POINTS = 3
"""A grid with fewer points has no panel."""
WIDE_RANGE = 20
"""The axis is logarithmic if the largest value is this many times the smallest."""


@dataclass(frozen=True)
class Sweep:
    """The cases of one grid on one target, by their value."""

    group: str
    field: str
    target: str
    points: tuple[tuple[float, CaseView], ...]

    @property
    def estimates(self) -> list[Estimate]:
        return [case.score[self.target].estimate for _, case in self.points]


def sweeps(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """One panel a grid; None where no grid has enough points."""
    found = [sweep for target, _ in distinct(evidence, rates) for sweep in grids(evidence, target)]
    if not found:
        return None
    scale = evidence.scale
    paper, axes = panels(len(found), 2, 2.3, inches=inches)
    for where, sweep in zip(axes, found, strict=True):
        _draw(where, sweep, evidence)
    paper.supylabel(f"test {scale.axis}", fontsize=8)
    lines = [c.name for c in evidence.cases if c.name in (TEACHER, evidence.results.plan.baseline)]
    caption = (
        f"Each line is a grid of the suite, {seeds_name(evidence)}; bars: 95 % t interval over seeds, without one "
        f"where there are fewer than three; dotted: {listed(lines or ['none'])}. "
        f"The {scale.name} axis does not start at zero."
    )
    return Figure(
        "grids", f"{scale.heading} along each grid, {seeds_name(evidence)}", caption, _alt(found, scale), paper
    )


def grids(evidence: Evidence, target: str) -> list[Sweep]:
    """Every grid over one number with enough evaluated cases, in the suite's order."""
    found: dict[tuple[str, str], list[tuple[float, CaseView]]] = {}
    for case in evidence.cases:
        if (name := NAME.fullmatch(case.name)) and target in case.score:
            found.setdefault((name["group"], name["field"]), []).append((float(name["value"]), case))
    return [
        Sweep(group, field, target, tuple(sorted(points, key=lambda point: point[0])))
        for (group, field), points in found.items()
        if len(points) >= FEWEST_POINTS
    ]


def _draw(axes: Axes, sweep: Sweep, evidence: Evidence) -> None:
    factor = evidence.scale.factor
    axes.set_title(short(sweep.group, LONGEST_TITLE))
    axes.set_xlabel(short(sweep.field))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for name in (TEACHER, evidence.results.plan.baseline):
        if (case := evidence.case(name)) and sweep.target in case.score:
            axes.axhline(factor * case.score[sweep.target].estimate.value, color=MUTED, linewidth=0.7, linestyle=":")
    values, first = [value for value, _ in sweep.points], sweep.points[0][1]
    color = colored(first.family)
    axes.plot(values, [factor * estimate.value for estimate in sweep.estimates], color=color, linewidth=0.9)
    for (value, case), estimate in zip(sweep.points, sweep.estimates, strict=True):
        ends = None
        if estimate.low is not None and estimate.high is not None:
            ends = [[factor * (estimate.value - estimate.low)], [factor * (estimate.high - estimate.value)]]
        drawn = axes.errorbar([value], [factor * estimate.value], yerr=ends, color=color, marker=marker(first.family),
                              markeredgecolor="#ffffff", markeredgewidth=0.6, elinewidth=0.9)  # fmt: skip
        owned(case, *drawn.get_children())
    _axis(axes, values)


def _axis(axes: Axes, values: list[float]) -> None:
    if values[0] > 0 and values[-1] / values[0] >= WIDE_RANGE:
        axes.set_xscale("log")
    shown = values if len(values) <= 8 else values[:: -(-len(values) // 8)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _alt(found: list[Sweep], scale: Scale) -> str:
    said = []
    for sweep in found:
        numbers = "; ".join(
            f"{value:g} {scale.said(estimate.value)}"
            for (value, _), estimate in zip(sweep.points[:25], sweep.estimates, strict=False)
        )
        said.append(f"{sweep.group} by {sweep.field}: {numbers}.")
    return f"{scale.heading} against a field of the suite. {' '.join(said)}"
