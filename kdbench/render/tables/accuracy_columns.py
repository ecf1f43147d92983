"""The decision table's columns of accuracy: means, differences to the baseline, agreement with the teacher."""

from collections.abc import Callable, Sequence

from kdbench import units
from kdbench.evidence import AccuracyView, CaseView, Evidence
from kdbench.evidence.accuracy import SPLIT
from kdbench.evidence.intervals import FEWEST, Difference, Estimate
from kdbench.render.tables.cells import Cell, Column, Footnotes
from kdbench.render.words.words import baseline_name, counted, listed, target_place

COUNTS = "*"
"""Marks a difference whose adjusted p is small."""
FEW_SEEDS = f"{FEWEST} seeds are needed to tell two cases apart"
ALIKE = "same examples"
"""Instead of an interval, where the two are right and wrong on exactly the same examples for every seed."""
SHOWN_TARGETS, LATER = 2, 10
"""Of so many targets accuracy is shown at once; that of the others, ranked lower by LATER, can be opened."""


def distinct(
    evidence: Evidence, key: Callable[[CaseView, str], object], among: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(target, " on ..." for a heading) of the targets on which the cases differ; equal ones share a heading.

    `among`: the targets in question; all where it is left out.
    """
    alike: dict[tuple[object, ...], list[str]] = {}
    for target in among or evidence.targets:
        alike.setdefault(tuple(key(case, target) for case in evidence.cases), []).append(target)
    several = len(alike) > 1
    return [(same[0], f" on {listed([target_place(t) for t in same])}" if several else "") for same in alike.values()]


def rates(case: CaseView, target: str) -> object:
    """What two targets share when they have the same accuracies."""
    return case.accuracy[target].estimate.values if target in case.accuracy else None


def accuracy_columns(evidence: Evidence, notes: Footnotes) -> list[Column]:
    """Four columns; again for each target on which a case answers otherwise."""
    columns: list[Column] = []
    for place, (target, named) in enumerate(distinct(evidence, rates)):
        group, later = f"Accuracy{named}", LATER if place >= SHOWN_TARGETS else 0
        columns += [
            Column("accuracy", "Accuracy", "%", group, 1 + later, _means(evidence, target, notes)),
            Column("difference", f"Against {baseline_name(evidence)}", "points", group, 2 + later,
                   _differences(evidence, target, notes)),
            Column("holm", "Holm p", "", group, 10 + later, _adjusted(evidence, target, notes)),
            Column("agreement", "Agrees with teacher", "%", group, 15 + later, _agreements(evidence, target, notes)),
        ]  # fmt: skip
    return columns


Pairs = Sequence[tuple[CaseView, AccuracyView | None]]


def _pairs(evidence: Evidence, target: str) -> Pairs:
    return [(case, case.accuracy.get(target)) for case in evidence.cases]


def _means(evidence: Evidence, target: str, notes: Footnotes) -> tuple[Cell, ...]:
    pairs = _pairs(evidence, target)
    views = [view for _, view in pairs if view]
    decimals = units.decimals_for([100 * (view.estimate.half or 0) for view in views])
    longest = max((_rate(view.estimate, decimals) for view in views), key=len, default="")
    widest = max((len(view.letters) for view in views), default=0)
    missing = f"no {SPLIT} accuracy was recorded"
    return tuple(
        Cell(
            units.padded(_rate(view.estimate, decimals), longest),
            view.letters.ljust(widest, units.FIGURE_SPACE),
            _fewer(evidence, case, view, target, notes),
            view.estimate.value,
        )
        if view
        else notes.missing(case.problems_on(target), missing)
        for case, view in pairs
    )


def _rate(estimate: Estimate, decimals: int) -> str:
    if estimate.n < FEWEST:
        return ", ".join(units.percent(value, decimals) for value in estimate.values)
    return units.percent_interval(estimate.value, estimate.half, decimals)


def _fewer(evidence: Evidence, case: CaseView, view: AccuracyView, target: str, notes: Footnotes) -> tuple[int, ...]:
    """A mark where a case has not all seeds of its suite; the teacher has its own."""
    if case.teaches or view.estimate.n >= len(evidence.results.plan.seeds):
        return ()
    why = "; ".join(case.problems_on(target)) or "the others were not recorded"
    return (notes.place(f"{counted(view.estimate.n, 'seed')} only; {why}"),)


def _differences(evidence: Evidence, target: str, notes: Footnotes) -> tuple[Cell, ...]:
    pairs = _pairs(evidence, target)
    found = [view.difference for _, view in pairs if view and view.difference]
    halves = [50 * (d.high - d.low) for d in found if d.low is not None and d.high is not None]
    decimals = units.decimals_for(halves)
    return tuple(
        Cell(points_text(view.difference, decimals), value=view.difference.value)
        if view and view.difference
        else _no_difference(case, view, target, notes)
        for case, view in pairs
    )


def _no_difference(case: CaseView, view: AccuracyView | None, target: str, notes: Footnotes) -> Cell:
    if view and case.name == case.baseline:
        return Cell("baseline", value=0.0)
    if view and case.teaches:
        return notes.missing((), "the teacher is not paired with the students' seeds")
    return notes.missing(case.problems_on(target), "it shares no seed with a baseline of the same student")


def points_text(difference: Difference, decimals: int) -> str:
    """A difference with its interval, its mark where it counts; by seed where there are too few for one."""
    if difference.p is None:
        return ", ".join(units.points(value, decimals) for value in difference.values)
    if difference.low == difference.high == 0:
        return f"{units.points(0)} ({ALIKE}) {units.FIGURE_SPACE}"
    text = units.points_interval(difference.value, difference.low, difference.high, decimals)
    return f"{text} {COUNTS if difference.counts else units.FIGURE_SPACE}"


def _adjusted(evidence: Evidence, target: str, notes: Footnotes) -> tuple[Cell, ...]:
    """The p behind a difference; where there is no difference, what stands there instead."""
    cells = []
    for case, view in _pairs(evidence, target):
        difference = view.difference if view else None
        if difference is None:
            cells.append(_no_difference(case, view, target, notes))
        elif difference.adjusted_p is None:
            cells.append(notes.missing((), FEW_SEEDS))
        else:
            cells.append(Cell(units.p_value(difference.adjusted_p), value=difference.adjusted_p))
    return tuple(cells)


def _agreements(evidence: Evidence, target: str, notes: Footnotes) -> tuple[Cell, ...]:
    missing = "no agreement with the teacher was recorded"
    return tuple(
        Cell(units.percent(view.agreement), value=view.agreement)
        if view and view.agreement is not None
        else Cell("itself", value=1.0)
        if case.teaches and view
        else notes.missing(case.problems_on(target), missing)
        for case, view in _pairs(evidence, target)
    )
