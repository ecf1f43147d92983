"""Throughput against batch size: a line a case, a panel a target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import throughput
from kdbench.render.figures.canvas import (
    LONGEST_TITLE,
    PAGE_WIDTH,
    Figure,
    by_note,
    colored,
    in_a_row,
    log_axis,
    marker,
    owned,
    panels,
    short,
)
from kdbench.render.figures.labels import Labelled
from kdbench.render.figures.line_ends import name_ends
from kdbench.render.tables.throughput_columns import EXAMPLES_A_SECOND
from kdbench.render.words.words import counted, listed, processor, seeds_name, target_place
from kdbench.results.records import CallSize

MOST_LINES = 8
"""Lines that a panel has room for."""
MOST_IN_A_ROW = 2


@dataclass(frozen=True)
class Line:
    """One case on one target: its throughput at each batch size, the smallest first."""

    case: CaseView
    points: tuple[tuple[int, Estimate], ...]


def batch_sizes(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """A panel for each target with several batch sizes; None if no target has several."""
    shown, alike = chosen(evidence)
    found = {target: lines for target in evidence.targets if (lines := _lines(evidence, target, shown))}
    if not found:
        return None
    paper, axes = panels(len(found), MOST_IN_A_ROW, 2.6, inches=inches)
    for where, (target, lines) in zip(axes, found.items(), strict=True):
        _draw(where, target, lines)
    _upward(axes, [line for lines in found.values() for line in lines], in_a_row(len(found), MOST_IN_A_ROW, inches))
    name_ends(paper, [(where, _ends(lines)) for where, lines in zip(axes, found.values(), strict=True)])
    alt = " ".join(f"{target_place(target)}: {'; '.join(map(_said, lines))}." for target, lines in found.items())
    caption = _caption(evidence, shown, alike)
    return Figure("batch-sizes", "Throughput by batch size", caption, f"Throughput by batch size. {alt}", paper)


def chosen(evidence: Evidence) -> tuple[list[CaseView], dict[str, list[str]]]:
    """The cases that get a line, and for each the names of the cases that share it.

    Files of the same bytes and multiply-accumulates on every target are one network with other weights: one line. Of
    more networks than there is room for, the references' and those that no other case beats come first.
    """
    first, rest = by_note(evidence)
    networks: dict[object, list[CaseView]] = {}
    for case in [*first, *rest]:
        if case.latency:
            networks.setdefault(_network(case), []).append(case)
    kept = list(networks.values())[:MOST_LINES]
    shown = [case for case in evidence.cases if any(case is several[0] for several in kept)]
    return shown, {several[0].name: [case.name for case in several[1:]] for several in kept if several[1:]}


def _network(case: CaseView) -> object:
    sizes = tuple((target, size.file_bytes, size.mac_count) for target, size in case.size.items())
    return sizes or case.name


def _lines(evidence: Evidence, target: str, shown: Sequence[CaseView]) -> list[Line]:
    """The lines of one target; none if it has one batch size only."""
    sizes = [size for where, size in evidence.settings if where == target]
    batches = [size for size in sizes if size.lengths == sizes[0].lengths]
    lines = [Line(case, tuple(_points(case, target, batches))) for case in shown]
    return [line for line in lines if line.points] if len(batches) > 1 else []


def _points(case: CaseView, target: str, batches: Sequence[CallSize]) -> Iterator[tuple[int, Estimate]]:
    for size in batches:
        if (view := case.latency.get((target, size))) is not None:
            yield size.batch_size, throughput(view, size.batch_size)


def _draw(axes: Axes, target: str, lines: Sequence[Line]) -> None:
    axes.set_title(short(target_place(target), LONGEST_TITLE))
    axes.set_xlabel("batch size")
    for line in lines:
        middles = [found.value for _, found in line.points]
        color = colored(line.case.family)
        drawn = axes.errorbar(
            [batch for batch, _ in line.points], middles, yerr=_bars(line), color=color, elinewidth=0.9,
            marker=marker(line.case.family), markeredgecolor="#ffffff", markeredgewidth=0.6,
        )  # fmt: skip
        owned(line.case, *drawn.get_children())
    batches = sorted({batch for line in lines for batch, _ in line.points})
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(batches))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _bars(line: Line) -> tuple[list[float], list[float]]:
    """Below and above each point; of no length where there is no interval."""
    below = [0.0 if found.low is None else found.value - found.low for _, found in line.points]
    return below, [0.0 if found.high is None else found.high - found.value for _, found in line.points]


def _upward(axes: Sequence[Axes], lines: Sequence[Line], in_row: int) -> None:
    """The one axis of all panels, named at each row's first."""
    spans = [x for line in lines for _, found in line.points for x in (found.low, found.value, found.high) if x]
    axes[0].set_ylabel("throughput")
    log_axis(axes[0], spans, EXAMPLES_A_SECOND, margin=1.2, name="y")
    for where in axes[in_row::in_row]:
        where.set_ylabel(axes[0].get_ylabel())


def _ends(lines: Sequence[Line]) -> list[Labelled]:
    return [Labelled(line.case, line.points[-1][0], line.points[-1][1].value) for line in lines]


def _caption(evidence: Evidence, shown: Sequence[CaseView], alike: dict[str, list[str]]) -> str:
    place = f" Measured on {processor(evidence)}." if processor(evidence) else ""
    long = ", ".join(f"{axis} {size}" for axis, size in evidence.settings[0][1].lengths)
    place += f" All calls at {long}." if long else ""
    same = "; ".join(f"{listed(names)} as {name}" for name, names in alike.items())
    shared = f" Files of the same bytes and multiply-accumulates share a line: {same}." if same else ""
    timed = sum(1 for case in evidence.cases if case.latency)
    count = timed - len(shown) - sum(map(len, alike.values()))
    out = f" {counted(count, 'case')} {'is' if count == 1 else 'are'} left out." if count else ""
    return (
        f"Examples a second of one caller whose calls follow each other (batch size / p50), {seeds_name(evidence)}. "
        "Bars: 95 % interval over measuring processes and seeds, without one where there are fewer than three. Both "
        f"axes are logarithmic: where a line runs level, a larger batch brings nothing.{shared}{out}{place}"
    )


def _said(line: Line) -> str:
    numbers = ", ".join(f"{_rate(found.value)} at batch {batch}" for batch, found in line.points)
    return f"{line.case.name} {numbers}"


def _rate(value: float) -> str:
    unit = units.common_unit([value], EXAMPLES_A_SECOND)
    return f"{units.in_unit(value, unit)} {unit.name}"
