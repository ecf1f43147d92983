"""The columns of the decision table, each number made text with what is missing explained."""

from collections.abc import Callable, Sequence

from kdbench import units
from kdbench.evidence import AccuracyView, CaseView, Evidence, Setting, SizeView
from kdbench.evidence.accuracy import SPLIT
from kdbench.evidence.intervals import FEWEST, Difference, Estimate
from kdbench.records import TEACHER
from kdbench.render.cells import Cell, Column, Footnotes
from kdbench.render.words import counted, explained, setting_name

COUNTS = "*"
"""Marks a difference whose adjusted p is small."""
FEW_SEEDS = f"{FEWEST} seeds are needed to tell two cases apart"
ALIKE = "same examples"
"""Instead of an interval, where the two are right and wrong on exactly the same examples for every seed."""
NOT_TIMED, NO_SIZE = "no latency was recorded", "no size was recorded"


def distinct(evidence: Evidence, key: Callable[[CaseView, str], object]) -> list[tuple[str, str]]:
    """(target, its name in a heading) of the targets on which the cases differ; one without a name where none does."""
    seen: dict[tuple[object, ...], str] = {}
    for target in evidence.targets:
        seen.setdefault(tuple(key(case, target) for case in evidence.cases), target)
    return [(target, f" on {target}" if len(seen) > 1 else "") for target in seen.values()]


def accuracy_columns(evidence: Evidence, notes: Footnotes) -> list[Column]:
    columns = []
    for target, named in distinct(evidence, lambda case, t: _values(case.accuracy.get(t))):
        views = [case.accuracy.get(target) for case in evidence.cases]
        group = f"Accuracy{named}"
        columns += [
            Column("accuracy", "Accuracy", "%", group, 1, _means(evidence, views, notes)),
            Column("difference", f"Against {evidence.results.plan.baseline}", "points", group, 2,
                   _differences(evidence, views, notes)),
            Column("holm", "Holm p", "", group, 10, _adjusted(evidence, views, notes)),
            Column("agreement", "Agrees with teacher", "%", group, 15, _agreements(evidence, views, notes)),
        ]  # fmt: skip
    return columns


def _values(view: AccuracyView | None) -> tuple[float, ...] | None:
    return None if view is None else view.estimate.values


def _means(evidence: Evidence, views: Sequence[AccuracyView | None], notes: Footnotes) -> tuple[Cell, ...]:
    decimals = units.decimals_for([100 * (view.estimate.half or 0) for view in views if view])
    longest = max((_rate(view.estimate, decimals) for view in views if view), key=len, default="")
    widest = max((len(view.letters) for view in views if view), default=0)
    return tuple(
        Cell(
            units.padded(_rate(view.estimate, decimals), longest),
            view.letters.ljust(widest, units.FIGURE_SPACE),
            _fewer(case, view, notes),
        )
        if view
        else notes.missing(case, f"no {SPLIT} accuracy was recorded for {case.name}")
        for case, view in zip(evidence.cases, views, strict=True)
    )


def _rate(estimate: Estimate, decimals: int) -> str:
    if estimate.n < FEWEST:
        return ", ".join(units.percent(value, decimals) for value in estimate.values)
    return units.percent_interval(estimate.value, estimate.half, decimals)


def _fewer(case: CaseView, view: AccuracyView, notes: Footnotes) -> tuple[int, ...]:
    if not case.problems:
        return ()
    return (notes.place(f"{case.name}: {counted(view.estimate.n, 'seed')} only; {'; '.join(case.problems)}"),)


def _differences(evidence: Evidence, views: Sequence[AccuracyView | None], notes: Footnotes) -> tuple[Cell, ...]:
    found = [view.difference for view in views if view and view.difference]
    halves = [50 * (d.high - d.low) for d in found if d.low is not None and d.high is not None]
    decimals = units.decimals_for(halves)
    return tuple(
        _difference(evidence, case, view, decimals, notes) for case, view in zip(evidence.cases, views, strict=True)
    )


def _difference(evidence: Evidence, case: CaseView, view: AccuracyView | None, decimals: int, notes: Footnotes) -> Cell:
    if view and view.difference:
        return Cell(_points(view.difference, decimals))
    if view and case.name == case.baseline:
        return Cell("baseline")
    if case.name == TEACHER:
        return Cell(units.MISSING, notes=(notes.place("the teacher is not paired with the students' seeds"),))
    return notes.missing(case, f"{case.name} shares no seed with a baseline of the same student")


def _points(difference: Difference, decimals: int) -> str:
    if difference.p is None:
        return ", ".join(units.points(value, decimals) for value in difference.values)
    if difference.low == difference.high == 0:
        return f"{units.points(0)} ({ALIKE}) {units.FIGURE_SPACE}"
    text = units.points_interval(difference.value, difference.low, difference.high, decimals)
    return f"{text} {COUNTS if difference.counts else units.FIGURE_SPACE}"


def _adjusted(evidence: Evidence, views: Sequence[AccuracyView | None], notes: Footnotes) -> tuple[Cell, ...]:
    """The p behind a difference; where there is no difference, what stands there instead."""
    cells = []
    for case, view in zip(evidence.cases, views, strict=True):
        difference = view.difference if view else None
        if difference is None:
            cells.append(_difference(case, view, 1, notes))
        elif difference.adjusted_p is None:
            cells.append(notes.missing(case, FEW_SEEDS))
        else:
            cells.append(Cell(units.p_value(difference.adjusted_p)))
    return tuple(cells)


def _agreements(evidence: Evidence, views: Sequence[AccuracyView | None], notes: Footnotes) -> tuple[Cell, ...]:
    return tuple(
        Cell(units.percent(view.agreement))
        if view and view.agreement is not None
        else Cell("itself")
        if case.name == TEACHER
        else notes.missing(case, f"no agreement with the teacher was recorded for {case.name}")
        for case, view in zip(evidence.cases, views, strict=True)
    )


SIZES: tuple[tuple[str, str, int, tuple[units.Unit, ...], Callable[[SizeView], float]], ...] = (
    ("bytes", "File", 3, units.BYTES, lambda view: view.onnx_bytes),
    ("gzip", "gzip", 16, units.BYTES, lambda view: view.onnx_gzip_bytes),
    ("parameters", "Parameters", 13, units.COUNTS, lambda view: view.parameter_count),
    ("nonzero", "Not zero", 14, units.COUNTS, lambda view: view.nonzero_parameter_count),
    ("macs", "MACs", 12, units.COUNTS, lambda view: view.mac_count),
)
"""Key, title, rank, units and number of the columns that say how big a file is."""


def size_columns(evidence: Evidence, notes: Footnotes) -> list[Column]:
    """How big each file is, and how much smaller than its baseline's; again for targets whose files differ."""
    columns = []
    for target, named in distinct(evidence, lambda case, t: v.onnx_bytes if (v := case.size.get(t)) else None):
        views = [case.size.get(target) for case in evidence.cases]
        group = f"Size{named}"
        made = []
        for key, title, rank, scale, of in SIZES:
            unit, cells = _sized(evidence, views, scale, of, notes)
            made.append(Column(key, title, unit, group, rank, cells))
        first, *others = made
        columns += [first, _compression(evidence, views, group, notes), *others]
    return columns


def _compression(evidence: Evidence, views: Sequence[SizeView | None], group: str, notes: Footnotes) -> Column:
    ratios = [view.compression_ratio.get("baseline") if view else None for view in views]
    texts = [units.three_digits(ratio) if ratio else None for ratio in ratios]
    unit = f"x {evidence.results.plan.baseline}"
    return Column("compression", "Smaller", unit, group, 9, _cells(evidence, texts, notes, NO_SIZE))


def _sized(
    evidence: Evidence,
    views: Sequence[SizeView | None],
    scale: Sequence[units.Unit],
    of: Callable[[SizeView], float],
    notes: Footnotes,
) -> tuple[str, tuple[Cell, ...]]:
    """The unit that fits the smallest, and every cell in it."""
    unit = units.common_unit([of(view) for view in views if view], scale)
    texts = [units.in_unit(of(view), unit) if view else None for view in views]
    return unit.name, _cells(evidence, texts, notes, NO_SIZE)


def _cells(evidence: Evidence, texts: Sequence[str | None], notes: Footnotes, reason: str) -> tuple[Cell, ...]:
    """Aligned numbers; what is None becomes a dash with its reason."""
    padded = iter(units.aligned([text for text in texts if text is not None]))
    return tuple(
        notes.missing(case, f"{reason} for {case.name}") if text is None else Cell(next(padded))
        for case, text in zip(evidence.cases, texts, strict=True)
    )


def latency_columns(evidence: Evidence, setting: Setting, notes: Footnotes) -> list[Column]:
    views = [case.latency.get(setting) for case in evidence.cases]
    unit = units.common_unit([view.p50_ns.value for view in views if view], units.NANOSECONDS)
    first = setting == evidence.settings[0]
    place = setting_name(evidence, setting)
    return [
        Column("p50", "p50", unit.name, place, 4 if first else 8, _p50(evidence, setting, unit, notes)),
        Column("p90", "p90", unit.name, place, 17, _p90(evidence, setting, unit, notes)),
        Column("speedup", "Faster", f"x {evidence.results.plan.baseline}", place, 5 if first else 7,
               _speedups(evidence, setting, "baseline", notes)),
        Column("speedup_teacher", "Faster", f"x {TEACHER}", place, 11 if first else 18,
               _speedups(evidence, setting, TEACHER, notes)),
    ]  # fmt: skip


def _p50(evidence: Evidence, setting: Setting, unit: units.Unit, notes: Footnotes) -> tuple[Cell, ...]:
    views = [case.latency.get(setting) for case in evidence.cases]
    texts = [units.in_unit(view.p50_ns.value, unit) if view else None for view in views]
    bare = _cells(evidence, texts, notes, NOT_TIMED)
    return tuple(
        Cell(cell.text, notes=tuple(notes.place(explained(word)) for word in view.warnings)) if view else cell
        for cell, view in zip(bare, views, strict=True)
    )


def _p90(evidence: Evidence, setting: Setting, unit: units.Unit, notes: Footnotes) -> tuple[Cell, ...]:
    views = [case.latency.get(setting) for case in evidence.cases]
    texts = [units.in_unit(view.p90_ns, unit) if view and view.p90_ns else None for view in views]
    few = {case.name for case, view in zip(evidence.cases, views, strict=True) if view and not view.p90_ns}
    cells = _cells(evidence, texts, notes, NOT_TIMED) if not few else ()
    return cells or _cells(evidence, texts, notes, "fewer than the 64 samples that a p90 needs were recorded")


def _speedups(evidence: Evidence, setting: Setting, role: str, notes: Footnotes) -> tuple[Cell, ...]:
    reference = evidence.results.plan.baseline if role == "baseline" else TEACHER
    cells = []
    for case in evidence.cases:
        view = case.latency.get(setting)
        if case.name == reference:
            cells.append(Cell(role))
        elif view and (ratio := view.speedup.get(role)):
            cells.append(Cell(units.ratio(ratio.value, ratio.low, ratio.high)))
        else:
            cells.append(notes.missing(case, _untimed(case, view is None, role)))
    return tuple(cells)


def _untimed(case: CaseView, at_all: bool, role: str) -> str:
    return f"{NOT_TIMED} for {case.name}" if at_all else f"{case.name} was not timed beside the {role}"


def cost_column(evidence: Evidence, notes: Footnotes) -> Column:
    cells = tuple(
        Cell(units.duration(case.cost.wall_ns))
        if case.cost
        else notes.missing(case, f"no training was recorded for {case.name}")
        for case in evidence.cases
    )
    return Column("training", "Training", "a seed", "Cost", 6, cells)
