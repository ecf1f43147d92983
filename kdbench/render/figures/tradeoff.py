"""Accuracy against latency and against bytes: error bars both ways, the Pareto front as steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.groups import pareto_front
from kdbench.evidence.intervals import Estimate
from kdbench.render.figures.canvas import (
    GREY,
    INK,
    LONGEST_TITLE,
    MOST_NAMED,
    MUTED,
    PAGE_WIDTH,
    Figure,
    colored,
    family_legend,
    in_a_row,
    log_axis,
    marker,
    owned,
    panels,
    short,
)
from kdbench.render.figures.labels import Labelled, name_points
from kdbench.render.words.words import listed, processor, seeds_name, setting_place, target_place
from kdbench.results.records import TEACHER
from kdbench.scale import Scale

DODGE, WIDEST_DODGE = 0.018, 0.06
"""Distance between points that are set side by side, and the most that one is moved, as shares of the cost axis."""
FEW = 5
"""With more cases their names have no room where two panels stand in a row."""


@dataclass(frozen=True)
class Point:
    """One case in one panel."""

    case: CaseView
    cost: Estimate
    score: Estimate


@dataclass(frozen=True)
class Panel:
    title: str
    label: str
    scale: Sequence[units.Unit]
    points: tuple[Point, ...]
    metric: Scale

    @cached_property
    def places(self) -> dict[str, float]:
        """Where each case stands on the cost axis: points that would hide each other are set side by side."""
        ordered = sorted(self.points, key=lambda point: point.cost.value)
        logs = [math.log(point.cost.value) for point in ordered]
        width = max(logs[-1] - logs[0], 0.1)
        shifts = [width * place for run in _runs(logs, DODGE * width) for place in _around_zero(run)]
        return {p.case.name: math.exp(x + shift) for p, x, shift in zip(ordered, logs, shifts, strict=True)}

    def named(self, evidence: Evidence) -> tuple[Point, ...]:
        """The points with a name and bars: all, or the front and the references if there are more than MOST_NAMED."""
        kept = (*self.front, *_references(evidence))
        return tuple(p for p in self.points if len(self.points) <= MOST_NAMED or p.case.name in kept)

    def places_of(self, points: Sequence[Point]) -> list[Labelled]:
        """Where the points stand, in data coordinates."""
        return [Labelled(p.case, self.places[p.case.name], self.metric.factor * p.score.value) for p in points]

    @cached_property
    def front(self) -> list[str]:
        return pareto_front({p.case.name: (p.cost.value, self.metric.goodness(p.score.value)) for p in self.points})


def accuracy_latency(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """One panel a setting; None where nothing was both timed and evaluated."""
    found = [
        Panel(setting_place(setting), "p50 latency", units.NANOSECONDS, _timed(evidence, setting), evidence.scale)
        for setting in evidence.settings
    ]
    kept = [panel for panel in found if panel.points]
    return _figure(evidence, "accuracy-latency", f"{evidence.scale.heading} against latency", kept, inches)


def accuracy_size(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """One panel a target on which files differ in size."""
    found = [
        Panel(target_place(target), "file size", units.BYTES, _sized(evidence, target), evidence.scale)
        for target in evidence.targets
    ]
    different = {tuple((p.case.name, p.cost, p.score) for p in panel.points): panel for panel in reversed(found)}
    kept = [panel for panel in different.values() if panel.points][::-1]
    return _figure(evidence, "accuracy-size", f"{evidence.scale.heading} against size", kept, inches)


def _runs(logs: Sequence[float], step: float) -> list[int]:
    """Lengths of the runs of neighbours that stand closer than `step`."""
    breaks = [place for place in range(1, len(logs)) if logs[place] - logs[place - 1] >= step]
    return [end - start for start, end in zip([0, *breaks], [*breaks, len(logs)], strict=True)]


def _around_zero(count: int) -> list[float]:
    """Shifts of `count` neighbours as shares of the axis."""
    step = min(DODGE, WIDEST_DODGE / max(1, count - 1))
    return [step * (place - (count - 1) / 2) for place in range(count)]


def _timed(evidence: Evidence, setting: Setting) -> tuple[Point, ...]:
    return tuple(
        Point(case, case.latency[setting].placed_ns, case.score[setting[0]].estimate)
        for case in evidence.cases
        if setting in case.latency and setting[0] in case.score
    )


def _sized(evidence: Evidence, target: str) -> tuple[Point, ...]:
    return tuple(
        Point(case, Estimate(size, None, None, (size,)), case.score[target].estimate)
        for case in evidence.cases
        if target in case.size and target in case.score and (size := case.size[target].file_bytes) > 0
    )


def _figure(evidence: Evidence, name: str, title: str, found: Sequence[Panel], inches: float) -> Figure | None:
    if not found:
        return None
    most = 2 if max(len(panel.points) for panel in found) <= FEW else 1
    paper, axes = panels(len(found), most, 3.0, inches=inches)
    for where, panel in zip(axes, found, strict=True):
        _draw(where, panel, evidence)
    for where in axes[:: in_a_row(len(found), most, inches)]:
        where.set_ylabel(f"test {evidence.scale.axis}")
    family_legend(paper, [point.case.family for panel in found for point in panel.points])
    paper.draw_without_rendering()
    paper.set_layout_engine("none")
    for where, panel in zip(axes, found, strict=True):
        name_points(where, panel.places_of(panel.named(evidence)), panel.places_of(panel.points))
    alt = f"{title}. {' '.join(_alt(panel) for panel in found)}"
    return Figure(name, f"{title}, {seeds_name(evidence)}", _caption(evidence, found), alt, paper)


def _caption(evidence: Evidence, found: Sequence[Panel]) -> str:
    timed, metric = found[0].scale is units.NANOSECONDS, found[0].metric
    bars = "Bars: 95 % t interval over seeds" + (", and of the ratio to the baseline over processes" if timed else "")
    placed = " A case stands at the baseline's pooled latency divided by its speed-up." if timed else ""
    place = f" Measured on {processor(evidence)}." if processor(evidence) else ""
    many = any(len(panel.points) > MOST_NAMED for panel in found)
    grey = " Only the front and the references are named, coloured and given bars." if many else ""
    return (
        f"{bars}; without one where there are fewer than three. Line: Pareto front of the means (lower cost, "
        f"{'higher' if metric.higher else 'lower'} {metric.name}); dotted: "
        f"{listed(_referenced(evidence))}. The {metric.name} axis does not start at zero. "
        f"Cases of the same cost stand side by side; names in one block stand from the highest {metric.name} down."
        f"{grey}{placed}{place}"
    )


def _referenced(evidence: Evidence) -> list[str]:
    return [case.name for case in evidence.cases if case.name in _references(evidence)] or ["none"]


def _alt(panel: Panel) -> str:
    numbers = "; ".join(
        f"{p.case.name} {panel.metric.said(p.score.value)} at {_cost(p, panel)}" for p in panel.points[:MOST_NAMED]
    )
    return f"{panel.title}: {numbers}. On the Pareto front: {listed(panel.front)}."


def _cost(point: Point, panel: Panel) -> str:
    timed = panel.scale is units.NANOSECONDS
    return units.latency(point.cost.value) if timed else units.size(point.cost.value)


def _references(evidence: Evidence) -> tuple[str, str]:
    return (TEACHER, evidence.results.plan.baseline)


def _draw(axes: Axes, panel: Panel, evidence: Evidence) -> None:
    axes.set_title(short(panel.title, LONGEST_TITLE))
    axes.set_xlabel(panel.label)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    named = panel.named(evidence)
    for point in panel.points:
        _mark(axes, point, panel.places[point.case.name], point in named, panel.metric)
        if point.case.name in _references(evidence):
            axes.axhline(100 * point.score.value, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    spans = [x for p in panel.points for x in (p.cost.low, p.cost.high) if x]
    log_axis(axes, [*panel.places.values(), *spans], panel.scale, margin=1.2)
    _steps(axes, panel)


def _mark(axes: Axes, point: Point, place: float, named: bool, metric: Scale) -> None:
    """Draw one point. Bars end at 100 %, even where a t interval goes beyond; unnamed points have no bars."""
    y, x = point.score, point.cost
    factor, most = metric.factor, 1.0 if metric.is_fraction and metric.higher else math.inf
    up = None
    if y.high is not None and y.low is not None:
        up = [[factor * (y.value - y.low)], [factor * (min(y.high, most) - y.value)]]
    scale = place / x.value
    # a file that is its own baseline has a ratio of exactly 1, whose bar must not turn negative by a rounding error
    across = (
        None
        if x.high is None or x.low is None
        else [[max(0.0, place - scale * x.low)], [max(0.0, scale * x.high - place)]]
    )
    drawn = axes.errorbar(
        [place], [factor * y.value], yerr=up if named else None, xerr=across if named else None,
        color=colored(point.case.family) if named else GREY, marker=marker(point.case.family),
        markersize=5.5, markeredgecolor="#ffffff", markeredgewidth=0.6, elinewidth=0.9, zorder=4 if named else 3,
    )  # fmt: skip
    owned(point.case, *drawn.get_children())


def _steps(axes: Axes, panel: Panel) -> None:
    by_name = {point.case.name: point for point in panel.points}
    front = [by_name[name] for name in panel.front]
    xs = [panel.places[point.case.name] for point in front] + [axes.get_xlim()[1]]
    ys = [panel.metric.factor * point.score.value for point in front]
    axes.plot(xs, [*ys, ys[-1]], drawstyle="steps-post", color=INK, linewidth=0.9, alpha=0.55, zorder=2)
