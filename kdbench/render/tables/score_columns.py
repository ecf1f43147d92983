"""The decision table's columns of the task's metric: means, differences to the baseline, agreement with the teacher."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, Evidence, ScoreView
from kdbench.evidence.answers import SPLIT
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import FEWEST, Estimate
from kdbench.render.tables.cells import HIDDEN, Cell, dash
from kdbench.render.tables.columns import ColumnSpec, percents, plain, reason
from kdbench.render.words.words import baseline_name, counted, listed, target_place
from kdbench.scale import Scale

COUNTS = "*"
"""Marks a difference whose adjusted p is small."""
FEW_SEEDS = f"{FEWEST} seeds are needed to tell two cases apart"
ALIKE = "same examples"
"""Stands in place of an interval where both files are right on exactly the same examples for every seed."""
UNTRAINED = "nothing was trained: one file, its interval over test examples alone"
NO_PAIR = "it shares no seed with a baseline of the same student"
NO_AGREEMENT = "no agreement with the teacher was recorded"
LATER = (0, 6, HIDDEN)
"""Added to the ranks of the first place's columns, of the second's and of all others'."""


@dataclass(frozen=True)
class Place:
    """Targets on which the cases do not differ, so that they share their columns."""

    targets: tuple[str, ...]
    is_alone: bool
    """Whether these are all the targets in question, so that no heading needs to name them."""
    later: int
    """Added to the ranks of its columns."""

    @property
    def name(self) -> str:
        """Its name in a heading: the first target and how many more; empty if it is alone."""
        first, *others = map(target_place, self.targets)
        return "" if self.is_alone else f"{first} and {len(others)} more" if others else first

    @property
    def whole_name(self) -> str:
        """All its targets by name; empty if it is alone."""
        return "" if self.is_alone else listed([target_place(target) for target in self.targets])


def places(evidence: Evidence, key: Callable[[CaseView, str], object], among: Sequence[str] = ()) -> list[Place]:
    """The targets, or those `among` them, grouped by what `key` gives for every case."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for target in among or evidence.targets:
        alike.setdefault(tuple(key(case, target) for case in evidence.cases), []).append(target)
    return [Place(tuple(same), len(alike) < 2, LATER[min(number, 2)]) for number, same in enumerate(alike.values())]


def distinct(
    evidence: Evidence, key: Callable[[CaseView, str], object], among: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(target, " on ..." for a heading) of the first target of each place."""
    found = places(evidence, key, among)
    return [(place.targets[0], f" on {place.whole_name}" if place.whole_name else "") for place in found]


def rates(case: CaseView, target: str) -> object:
    """A case's accuracies on a target, seed by seed. Targets with equal ones share their columns."""
    return case.score[target].estimate.values if target in case.score else None


def accuracy_places(evidence: Evidence) -> list[Place]:
    """The places whose accuracies differ."""
    return places(evidence, rates)


def accuracy_columns(evidence: Evidence) -> Iterator[ColumnSpec[Any]]:
    """Four columns for each place on which a case answers otherwise; three where there is no teacher."""
    for place in accuracy_places(evidence):
        yield from _columns(evidence, place)


def _columns(evidence: Evidence, place: Place) -> Iterator[ColumnSpec[Any]]:
    target, scale = place.targets[0], evidence.scale
    where: dict[str, Any] = {
        "topic": scale.heading, "place": place.name, "later": place.later, "targets": place.targets,
    }  # fmt: skip

    def mean(case: CaseView) -> Estimate | None:
        return view.estimate if (view := case.score.get(target)) else None

    def letters(case: CaseView) -> str:
        return case.score[target].letters

    def difference(case: CaseView) -> Difference | Cell | None:
        return _difference(case, case.score.get(target))

    def adjusted(case: CaseView) -> float | Cell | None:
        found = difference(case)
        if not isinstance(found, Difference):
            return found
        return dash(found.untold or FEW_SEEDS) if found.adjusted_p is None else found.adjusted_p

    def agreement(case: CaseView) -> float | Cell | None:
        view = case.score.get(target)
        if view and view.agreement is None and case.teaches:
            return Cell("itself", value=1.0)
        return view.agreement if view else None

    yield ColumnSpec("accuracy", scale.heading, mean, lambda found: _means(found, scale), no_score(scale), rank=1,
                     letters=letters, notes=lambda case: _fewer(evidence, case, target), **where)  # fmt: skip
    yield ColumnSpec("difference", f"Against {baseline_name(evidence)}", difference,
                     lambda found: differences(found, scale), NO_PAIR, rank=2,
                     **where)  # fmt: skip
    yield ColumnSpec("holm", "Holm p", adjusted, plain(units.p_value), NO_PAIR, rank=10, **where)
    if has_teacher(evidence):
        yield ColumnSpec("agreement", "Agrees with teacher", agreement, percents(), NO_AGREEMENT, rank=15, **where)


def no_score(scale: Scale) -> str:
    """Why a case has none."""
    return f"no {SPLIT} {scale.name} was recorded"


def has_teacher(evidence: Evidence) -> bool:
    """Whether any row is a teacher's."""
    return any(case.teaches for case in evidence.cases)


def _means(found: Sequence[Estimate], scale: Scale) -> tuple[str, list[str]]:
    """96.7 ± 0.9, in as many decimals as the noise has; below FEWEST seeds the values themselves."""
    decimals = scale.decimals([one.half or 0 for one in found], [one.value for one in found])
    said = [
        ", ".join(scale.text(value, decimals) for value in one.values)
        if one.half is None
        else scale.interval(one.value, one.low, one.high, decimals)
        for one in found
    ]
    longest = max(said, key=len, default="")
    return scale.of_values, [units.padded(text, longest) for text in said]


def _fewer(evidence: Evidence, case: CaseView, target: str) -> Iterator[str]:
    """A note if a case lacks seeds of its suite; a teacher has seeds of its own."""
    view = case.score[target]
    count = view.estimate.n
    if view.is_untrained:
        yield UNTRAINED
    elif not case.teaches and count < len(evidence.results.plan.seeds):
        why = reason(case.problems_on(target), "the others were not recorded")
        yield f"{counted(count, 'seed')} only; {why}"


def _difference(case: CaseView, view: ScoreView | None) -> Difference | Cell | None:
    if view and view.difference:
        return view.difference
    if view and case.name == case.baseline:
        return Cell("baseline", value=0.0)
    return dash("the teacher is not paired with the students' seeds") if view and case.teaches else None


def differences(found: Sequence[Difference], scale: Scale) -> tuple[str, list[str]]:
    """Differences with their intervals, in as many decimals as the noise has."""
    halves = [(one.high - one.low) / 2 for one in found if one.low is not None and one.high is not None]
    decimals = scale.decimals(halves, [one.value for one in found])
    return scale.of_differences, [_change(one, scale, decimals) for one in found]


def _change(difference: Difference, scale: Scale, decimals: int) -> str:
    """+0.4 (−0.1 to 0.9), marked where it counts; the seeds' own differences where they are too few."""
    if difference.low is None:
        return ", ".join(scale.change(value, decimals) for value in difference.values)
    if difference.low == difference.high == 0:
        return f"{scale.change(0)} ({ALIKE}) {units.FIGURE_SPACE}"
    text = scale.change_interval(difference.value, difference.low, difference.high, decimals)
    return f"{text} {COUNTS if difference.counts else units.FIGURE_SPACE}"
