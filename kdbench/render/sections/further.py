"""The task's further metrics, a table each: they are told, and nothing is chosen by them."""

from collections.abc import Iterator, Sequence

from kdbench import units
from kdbench.evidence.further import FurtherView, further_views
from kdbench.evidence.scores import ScoreView
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Grid, Heading, Line, Prose, Report, Section
from kdbench.render.words.words import baseline_name, target_place


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    evidence = report.evidence
    found = [view for target in evidence.targets for view in further_views(evidence.results, target)]
    if found:
        yield Prose(
            f"On the test split. Cases are chosen and checked by {evidence.scale.name} alone; differences are paired, "
            "with their 95 % intervals, and * marks those that count (Holm, within the metric)."
        )
    for view in found:
        yield Heading(_title(view, len(evidence.targets) > 1))
        unit = view.scale.of_values
        columns = (
            ("Case", ""),
            (view.scale.heading, unit),
            (f"Against {baseline_name(evidence)}", view.scale.of_differences),
        )
        cases = [case for case in evidence.cases if case.name in view.cases or case.name in view.undefined]
        lines = [Line((case.name, *_cells(view, case.name)), case) for case in cases]
        yield Grid(_title(view, True), columns, tuple(lines))
        if not view.is_tested:
            yield Prose(f"Chance alone moves {view.scale.name} one way, so its differences are not tested.")
        few = next(
            (one.difference.untold for one in view.cases.values() if one.difference and one.difference.untold), ""
        )
        if few and view.is_tested:
            yield Prose(f"Without intervals: {few}.")
        for case, why in view.undefined.items():
            yield Prose(f"{case} has none: {why}.")


def _title(view: FurtherView, named: bool) -> str:
    of = f" of {view.output}" if view.output else ""
    return f"{view.scale.heading}{of}" + (f", {target_place(view.target)}" if named else "")


def _cells(view: FurtherView, case: str) -> tuple[str, str]:
    found, scale = view.cases.get(case), view.scale
    if found is None:
        return units.MISSING, units.MISSING
    estimates = [one.estimate for one in view.cases.values()]
    decimals = scale.decimals([one.half or 0.0 for one in estimates], [one.value for one in estimates])
    own = found.estimate
    return scale.interval(own.value, own.low, own.high, decimals), _change(found, view, decimals)


def _change(found: ScoreView, view: FurtherView, decimals: int) -> str:
    difference = found.difference
    if difference is None:
        return units.MISSING
    text = view.scale.change_interval(difference.value, difference.low, difference.high, decimals)
    return f"{text} *" if difference.counts else text


FURTHER = Section("further", "Further metrics", _blocks)
