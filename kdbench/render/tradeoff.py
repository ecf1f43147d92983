"""Accuracy against latency and against bytes: error bars both ways, the Pareto front as steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.evidence.groups import pareto_front
from kdbench.evidence.intervals import Estimate
from kdbench.records import TEACHER
from kdbench.render.canvas import (
    COLORS,
    GREY,
    INK,
    LONGEST_TITLE,
    MARKERS,
    MUTED,
    Figure,
    family_legend,
    log_axis,
    panels,
    short,
)
from kdbench.render.words import listed, processor, seeds_name, setting_place

DODGE, WIDEST_DODGE = 0.018, 0.06
"""Distance at which points are set side by side, and of the outermost of them, as shares of the cost axis."""
FEW = 5
"""Cases whose names two panels in a row have room for."""
MOST_LABELS = 25
"""With more cases, only the front and the references are named."""


@dataclass(frozen=True)
class Point:
    """One case in one panel."""

    case: CaseView
    cost: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class Panel:
    title: str
    label: str
    scale: Sequence[units.Unit]
    points: tuple[Point, ...]

    @cached_property
    def places(self) -> dict[str, float]:
        """Where each case stands on the cost axis: points that would hide each other are set side by side."""
        ordered = sorted(self.points, key=lambda point: point.cost.value)
        logs = [math.log(point.cost.value) for point in ordered]
        width = max(logs[-1] - logs[0], 0.1)
        shifts = [width * place for run in _runs(logs, DODGE * width) for place in _around_zero(run)]
        return {p.case.name: math.exp(x + shift) for p, x, shift in zip(ordered, logs, shifts, strict=True)}

    @cached_property
    def front(self) -> list[str]:
        return pareto_front({p.case.name: (p.cost.value, p.accuracy.value) for p in self.points})


def accuracy_latency(evidence: Evidence) -> Figure | None:
    """One panel a setting; None where nothing was both timed and evaluated."""
    found = [
        Panel(setting_place(setting), "p50 latency", units.NANOSECONDS, _timed(evidence, setting))
        for setting in evidence.settings
    ]
    name = "accuracy-latency"
    return _figure(evidence, name, "Accuracy against latency", [panel for panel in found if panel.points])


def accuracy_size(evidence: Evidence) -> Figure | None:
    """One panel a target on which files differ in size."""
    found = [Panel(target, "file size", units.BYTES, _sized(evidence, target)) for target in evidence.targets]
    different = {tuple((p.case.name, p.cost, p.accuracy) for p in panel.points): panel for panel in reversed(found)}
    return _figure(
        evidence,
        "accuracy-size",
        "Accuracy against size",
        [panel for panel in different.values() if panel.points][::-1],
    )


def _runs(logs: Sequence[float], step: float) -> list[int]:
    """Lengths of the runs of neighbours that stand closer than `step`."""
    breaks = [place for place in range(1, len(logs)) if logs[place] - logs[place - 1] >= step]
    return [end - start for start, end in zip([0, *breaks], [*breaks, len(logs)], strict=True)]


def _around_zero(count: int) -> list[float]:
    """Shifts of `count` neighbours as shares of the axis."""
    step = min(DODGE, WIDEST_DODGE / max(1, count - 1))
    return [step * (place - (count - 1) / 2) for place in range(count)]


def _timed(evidence: Evidence, setting: tuple[str, int]) -> tuple[Point, ...]:
    return tuple(
        Point(case, case.latency[setting].placed_ns, case.accuracy[setting[0]].estimate)
        for case in evidence.cases
        if setting in case.latency and setting[0] in case.accuracy
    )


def _sized(evidence: Evidence, target: str) -> tuple[Point, ...]:
    return tuple(
        Point(case, Estimate(size, None, None, (size,)), case.accuracy[target].estimate)
        for case in evidence.cases
        if target in case.size and target in case.accuracy and (size := case.size[target].onnx_bytes) > 0
    )


def _figure(evidence: Evidence, name: str, title: str, found: Sequence[Panel]) -> Figure | None:
    if not found:
        return None
    most = max(len(panel.points) for panel in found)
    paper, axes = panels(len(found), 2 if most <= FEW else 1, 3.0)
    labels = [_draw(where, panel, evidence) for where, panel in zip(axes, found, strict=True)]
    for where in axes[:: 2 if most <= FEW else 1]:
        where.set_ylabel("test accuracy, %")
    family_legend(paper, [point.case.family for panel in found for point in panel.points])
    paper.draw_without_rendering()
    paper.set_layout_engine("none")
    for where, texts, panel in zip(axes, labels, found, strict=True):
        _part(where, texts, panel)
    alt = f"{title}. {' '.join(_alt(panel) for panel in found)}"
    return Figure(name, f"{title}, {seeds_name(evidence)}", _caption(evidence, found), alt, paper)


def _caption(evidence: Evidence, found: Sequence[Panel]) -> str:
    timed = found[0].scale is units.NANOSECONDS
    bars = "Bars: 95 % t interval over seeds" + (", and of the ratio to the baseline over processes" if timed else "")
    placed = " A case stands at the baseline's pooled latency divided by its speed-up." if timed else ""
    place = f" Measured on {processor(evidence)}." if processor(evidence) else ""
    many = any(len(panel.points) > MOST_LABELS for panel in found)
    grey = " Only the front and the references are named and coloured." if many else ""
    return (
        f"{bars}; without one where there are fewer than three. Line: Pareto front of the means (lower cost, higher "
        f"accuracy); dotted: {listed(_referenced(evidence))}. The accuracy axis does not start at zero. "
        f"Cases of the same cost stand side by side.{grey}{placed}{place}"
    )


def _referenced(evidence: Evidence) -> list[str]:
    return [case.name for case in evidence.cases if case.name in (TEACHER, evidence.results.plan.baseline)] or ["none"]


def _alt(panel: Panel) -> str:
    numbers = "; ".join(
        f"{p.case.name} {units.percent(p.accuracy.value)} % at {_cost(p, panel)}" for p in panel.points[:MOST_LABELS]
    )
    return f"{panel.title}: {numbers}. On the Pareto front: {listed(panel.front)}."


def _cost(point: Point, panel: Panel) -> str:
    timed = panel.scale is units.NANOSECONDS
    return units.latency(point.cost.value) if timed else units.size(point.cost.value)


def _draw(axes: Axes, panel: Panel, evidence: Evidence) -> list[Text]:
    axes.set_title(short(panel.title, LONGEST_TITLE))
    axes.set_xlabel(panel.label)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    crowded = len(panel.points) > MOST_LABELS
    references = (TEACHER, evidence.results.plan.baseline)
    named = [p for p in panel.points if not crowded or p.case.name in (*panel.front, *references)]
    for point in panel.points:
        _mark(axes, point, panel.places[point.case.name], COLORS[_family(point)] if point in named else GREY)
        if point.case.name in references:
            axes.axhline(100 * point.accuracy.value, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    spans = [x for p in panel.points for x in (p.cost.low, p.cost.high) if x]
    log_axis(axes, [*panel.places.values(), *spans], panel.scale, margin=1.2)
    _steps(axes, panel)
    return [_label(axes, panel, point) for point in named]


def _label(axes: Axes, panel: Panel, point: Point) -> Text:
    backing = {"boxstyle": "square,pad=0.05", "facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.7}
    x, y = panel.places[point.case.name], 100 * point.accuracy.value
    return axes.text(x, y, short(point.case.name), fontsize=7.5, zorder=5, bbox=backing)


def _family(point: Point) -> str:
    return point.case.family if point.case.family in COLORS else "other"


def _mark(axes: Axes, point: Point, place: float, color: str) -> None:
    """An accuracy is never above 100 %, whatever a t interval says."""
    y, x = point.accuracy, point.cost
    up = None if y.high is None or y.low is None else [[100 * (y.value - y.low)], [100 * (min(y.high, 1.0) - y.value)]]
    scale = place / x.value
    across = None if x.high is None or x.low is None else [[place - scale * x.low], [scale * x.high - place]]
    axes.errorbar(
        [place], [100 * y.value], yerr=up, xerr=across, color=color, marker=MARKERS[_family(point)],
        markersize=5.5, markeredgecolor="#ffffff", markeredgewidth=0.6, elinewidth=0.9, zorder=4,
    )  # fmt: skip


def _steps(axes: Axes, panel: Panel) -> None:
    by_name = {point.case.name: point for point in panel.points}
    front = [by_name[name] for name in panel.front]
    xs = [panel.places[point.case.name] for point in front] + [axes.get_xlim()[1]]
    ys = [100 * point.accuracy.value for point in front]
    axes.plot(xs, [*ys, ys[-1]], drawstyle="steps-post", color=INK, linewidth=0.9, alpha=0.55, zorder=2)


def _part(axes: Axes, texts: Sequence[Text], panel: Panel) -> None:
    """Move the labels apart; a limit on steps, not on time, so that the picture is the same on every machine."""
    xs, ys = [panel.places[p.case.name] for p in panel.points], [100 * p.accuracy.value for p in panel.points]
    adjust_text(
        list(texts), x=xs, y=ys, ax=axes, iter_lim=500,
        expand=(1.2, 1.7), force_text=(0.4, 0.8), force_static=(0.3, 0.5), min_arrow_len=6,
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3},
    )  # fmt: skip
