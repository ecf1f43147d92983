"""Latency samples, a row a case and a strip a process, so that a reader sees whether processes agree."""

import numpy as np
from matplotlib.axes import Axes

from kdbench import stats, units
from kdbench.evidence import CaseView, Evidence, LatencyView, Setting
from kdbench.render.figures.canvas import (
    INK,
    LONGEST_TITLE,
    PAGE_WIDTH,
    Figure,
    colored,
    log_axis,
    notable,
    owned,
    panels,
    short,
)
from kdbench.render.words.words import counted, processor, seeds_name, setting_place

MOST_STROKES, FEWEST_STROKES, ALL_STROKES = 60, 12, 9000
"""Strokes of one process: evenly spaced quantiles of its samples, so that strokes are dense where calls are. With many
strips each has fewer strokes, so that the picture stays below half a megabyte."""

SHOWN = 0.95
"""Share of each process's calls that the axis must cover. A few stalls would otherwise squeeze all else together."""


def latency_distributions(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """One panel a setting; None where nothing was timed."""
    settings = [setting for setting in evidence.settings if any(setting in case.latency for case in evidence.cases)]
    cases = [case for case in notable(evidence) if case.latency]
    if not settings or not cases:
        return None
    paper, axes = panels(len(settings), 2, 0.75 + 0.3 * len(cases), inches=inches)
    strokes = _strokes_for(cases)
    for where, setting in zip(axes, settings, strict=True):
        _draw(where, cases, setting, strokes)
    axes[0].set_yticks(range(len(cases)), [short(case.name) for case in cases])
    axes[0].set_ylim(len(cases) - 0.4, -0.6)
    place = f" on {processor(evidence)}" if processor(evidence) else ""
    caption = (
        f"Each row is a case, each strip in it a measuring process{place}, seeds together ({seeds_name(evidence)}). "
        f"A strip shows {strokes} evenly spaced quantiles of its calls instead of every call. Thick tick: its "
        "p50; thin tick: its p90, where there are at least 64 samples. Logarithmic axis, which "
        f"ends at the largest p{100 * SHOWN:.0f} of a process; lower is better.{_left_out(evidence)}"
    )
    return Figure("latency", "Latency of single calls", caption, _alt(cases, settings), paper)


def _left_out(evidence: Evidence) -> str:
    count = len(evidence.cases) - len(notable(evidence))
    return f" {counted(count, 'case')} that others beat both ways are left out." if count else ""


def _strokes_for(cases: list[CaseView]) -> int:
    strips = sum(len(view.processes) for case in cases for view in case.latency.values())
    return max(FEWEST_STROKES, min(MOST_STROKES, ALL_STROKES // max(1, strips)))


def _alt(cases: list[CaseView], settings: list[Setting]) -> str:
    parts = []
    for setting in settings:
        numbers = "; ".join(f"{c.name} {_ticks(c.latency[setting])}" for c in cases if setting in c.latency)
        parts.append(f"{setting_place(setting)}: {numbers}.")
    return f"Distribution of latency samples. {' '.join(parts)}"


def _ticks(view: LatencyView) -> str:
    p90 = f", p90 {units.latency(view.p90_ns)}" if view.p90_ns else ""
    return f"p50 {units.latency(view.p50_ns.value)}{p90}"


def _draw(axes: Axes, cases: list[CaseView], setting: Setting, strokes: int) -> None:
    axes.set_title(short(setting_place(setting), LONGEST_TITLE))
    axes.set_xlabel("latency of a call")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    shown: list[float] = []
    for row, case in enumerate(cases):
        if setting in case.latency:
            before = len(axes.lines)
            shown += _row(axes, row, case.latency[setting], colored(case.family), strokes)
            owned(case, *axes.lines[before:])
    log_axis(axes, shown, units.NANOSECONDS)


def _row(axes: Axes, row: int, view: LatencyView, color: str, strokes: int) -> list[float]:
    """Draw a row; the latencies that it spans."""
    step = 0.78 / max(1, len(view.processes))
    spans: list[float] = []
    for place, process in enumerate(view.processes):
        if process:
            quantiles = np.quantile(process, (np.arange(strokes) + 0.5) / strokes)
            middle = row - 0.39 + step * (place + 0.5)
            _strokes(axes, quantiles.tolist(), middle, 0.38 * step, color)
            _tick(axes, stats.percentile(process, 0.5), middle, 0.5 * step, 1.6)
            _tick(axes, stats.percentile(process, 0.9), middle, 0.38 * step, 0.9)
            spans += [float(quantiles[0]), float(np.quantile(process, SHOWN))]
    return spans


def _strokes(axes: Axes, xs: list[float], y: float, half: float, color: str) -> None:
    """All strokes of a strip as one path: a page of separate lines would weigh megabytes."""
    points = [(x, end) for x in xs for end in (y - half, y + half, np.nan)]
    axes.plot([x for x, _ in points], [end for _, end in points], color=color, linewidth=0.5, alpha=0.6)


def _tick(axes: Axes, x: float | None, y: float, half: float, width: float) -> None:
    if x is not None:
        axes.plot([x, x], [y - half, y + half], color=INK, linewidth=width, solid_capstyle="butt", zorder=5)
