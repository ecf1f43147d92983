"""A history's series by run: how far each value lies from where it began, with the runs' own noise and the steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from kdbench.check.history import Entry, Point
from kdbench.check.steps import Series, Step, steps_of
from kdbench.render.figures.canvas import COLORS, GRID, INK, MUTED, PAGE_WIDTH, Figure, panels, short
from kdbench.render.words.words import target_place

MOST_PANELS = 24
WORSE, BETTER = "#d55e00", COLORS["quantization"]
"""Okabe and Ito's vermilion and green."""
COMMIT = 7
"""Characters of a commit below a panel."""
APART = 0.2
"""Share of the axis between two commits below it."""
HEADINGS = {"latency": "Latency", "score": "Score", "size": "File size"}


@dataclass(frozen=True)
class _Placed:
    """A point of a panel: which run it is of, and how far it lies from the first on its machine."""

    run: int
    point: Point
    change: float
    low: float
    high: float


def history_figures(entries: Sequence[Entry], found: Sequence[Series], inches: float = PAGE_WIDTH) -> list[Figure]:
    """A figure of latencies, and one of scores and of sizes where any of them moved; none of a single run."""
    drawn = []
    for metric in HEADINGS:
        series = [one for one in found if one.name.metric == metric and len(one.points) > 1]
        moving = [one for one in series if len({point.value for point in one.points}) > 1]
        if series and (metric == "latency" or moving):
            drawn.append(_figure(metric, entries, series if metric == "latency" else moving, inches))
    return drawn


def _figure(metric: str, entries: Sequence[Entry], series: Sequence[Series], inches: float) -> Figure:
    shown = sorted(((one, steps_of(one)) for one in series), key=lambda pair: not pair[1])[:MOST_PANELS]
    runs = {entry.file_name: place for place, entry in enumerate(entries)}
    paper, axes = panels(len(shown), 3, 1.75, share_x=True, inches=inches)
    named = len({one.name.target for one, _ in shown}) > 1
    for where, (one, steps) in zip(axes, shown, strict=True):
        where.set_title(short(_title(one.name, named), 40), fontsize=7.5)
        _panel(where, one, steps, runs)
        _commits(where, entries, [runs[step.entry.file_name] for step in steps])
    unit = _unit(shown[0][0].name)
    paper.supylabel(f"change since the first run, {unit}" if unit else "change since the first run", fontsize=8)
    handles = [
        Line2D([], [], color=INK, marker="o", markersize=3.5, label="run, with its processes" if metric == "latency"
               else "run, with its seeds" if metric == "score" else "run"),
        Patch(color=GRID, label="tolerance about the level"),
        Line2D([], [], color=WORSE, marker="o", markersize=5, linestyle="", label="step for the worse"),
        Line2D([], [], color=BETTER, marker="o", markersize=5, linestyle="", label="for the better"),
        Line2D([], [], color=WORSE, marker="o", markersize=5, linestyle="", markerfacecolor="none", label="suspected"),
    ]  # fmt: skip
    paper.legend(handles=handles, loc="outside lower center", ncols=5 if inches >= PAGE_WIDTH else 2, fontsize=7)
    left = len(series) - len(shown)
    caption = (
        f"{HEADINGS[metric]} of every run against the first on the same machine and runtime; a dotted line is where "
        "another begins." + (f" Not shown: {left} more series." if left else "")
    )
    return Figure(f"history-{metric}", HEADINGS[metric], caption, _alt(shown), paper)


def _title(point: Point, with_target: bool) -> str:
    batch = [f"batch {point.batch_size}"] if point.batch_size else []
    return ", ".join([point.case, *batch, *([target_place(point.target)] if with_target else [])])


def _panel(axes: Axes, series: Series, steps: Sequence[Step], runs: dict[str, int]) -> None:
    at = {runs[step.entry.file_name]: step for step in steps}
    for segment in _segments(series, runs):
        if segment[0].run > runs[series.entries[0].file_name]:
            axes.axvline(segment[0].run - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        _levels(axes, segment, [step for step in steps if step.is_confirmed], runs)
        places = [one.run for one in segment]
        axes.vlines(places, [one.low for one in segment], [one.high for one in segment], color=MUTED, linewidth=1.0)
        axes.plot(places, [one.change for one in segment], color=INK, marker="o", markersize=3.5, linewidth=0.9)
    for one in (one for segment in _segments(series, runs) for one in segment):
        step = at.get(one.run)
        if step is not None:
            _mark(axes, one, step)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0"))
    axes.margins(y=0.15)


def _mark(axes: Axes, one: _Placed, step: Step) -> None:
    color = WORSE if step.is_worse else BETTER
    inside = color if step.is_confirmed else "none"
    axes.plot([one.run], [one.change], color=color, marker="o", markersize=6.5, markerfacecolor=inside, linestyle="")
    axes.annotate(
        step.entry.commit[:COMMIT], (one.run, one.change), xytext=(-5, 2), textcoords="offset points",
        ha="right", fontsize=7, color=color,
    )  # fmt: skip


def _segments(series: Series, runs: dict[str, int]) -> list[list[_Placed]]:
    """The points of one machine and runtime after the other's, each against the first of its segment."""
    found: list[list[_Placed]] = []
    first: Point | None = None
    for entry, point in zip(series.entries, series.points, strict=True):
        if first is None or point.fingerprint != first.fingerprint:
            first = point
            found.append([])
        low, high = (min(point.each), max(point.each)) if point.each else (point.value, point.value)
        changes = [_change(value, first) for value in (point.value, low, high)]
        found[-1].append(_Placed(runs[entry.file_name], point, *changes))
    return found


def _levels(axes: Axes, segment: Sequence[_Placed], steps: Sequence[Step], runs: dict[str, int]) -> None:
    """The tolerance about each level, from the run that began it to the run before the next."""
    begins = {runs[step.entry.file_name] for step in steps}
    starts = [place for place, one in enumerate(segment) if place == 0 or one.run in begins]
    for start, end in zip(starts, [*starts[1:], len(segment)], strict=True):
        level = segment[start].point
        low, high = (_change(value, segment[0].point) for value in _allowed(level))
        left, right = segment[start].run - 0.4, segment[end - 1].run + 0.4
        axes.fill_between([left, right], [low, low], [high, high], color=GRID, linewidth=0)


def _allowed(level: Point) -> tuple[float, float]:
    if level.metric == "score":
        return level.value - level.limit, level.value + level.limit
    return level.value / level.limit, level.value * level.limit


def _change(value: float, first: Point) -> float:
    if first.metric == "score":
        return (value - first.value) * (100 if first.unit == "fraction" else 1)
    return 100 * (value / first.value - 1)


def _unit(point: Point) -> str:
    if point.metric != "score":
        return "%"
    return "points" if point.unit == "fraction" else point.unit


def _commits(axes: Axes, entries: Sequence[Entry], steps: Sequence[int]) -> None:
    """Name the first and the last run below a panel, and between them where a step is, as far as there is room."""
    last = len(entries) - 1
    kept = [0, last] if last else [0]
    for place in steps:
        if all(abs(place - other) >= APART * max(last, 1) for other in kept):
            kept.append(place)
    axes.xaxis.set_major_locator(FixedLocator(sorted(kept)))
    axes.xaxis.set_major_formatter(FixedFormatter([entries[place].commit[:COMMIT] for place in sorted(kept)]))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(-0.6, last + 0.6)


def _alt(shown: Sequence[tuple[Series, list[Step]]]) -> str:
    said = [
        f"{one.name.case} steps to the {'worse' if step.is_worse else 'better'} at {step.entry.commit[:COMMIT]}"
        for one, steps in shown
        for step in steps
    ]
    return f"{len(shown)} series by run: {'; '.join(said) or 'no step'}."
