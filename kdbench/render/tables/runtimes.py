"""The same cases in several runtimes of one machine: size, latency, and how much faster than in the first of them."""

from collections.abc import Iterator

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.runtimes import Race, races
from kdbench.evidence.throughput import speedup_over
from kdbench.render.tables.cells import Table
from kdbench.render.tables.columns import ColumnSpec, case_column, filled, middles, ratios, reason, scaled
from kdbench.render.tables.size_columns import NO_SIZE
from kdbench.render.tables.target_table import TargetTable, everybody
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import (
    NOT_TIMED,
    baseline_name,
    explained,
    quoted,
    setting_place,
    target_place,
    threads_name,
)

NO_RATIO = "it, or the baseline in the first runtime, was not timed"
REFERENCE = "the ratios refer to it"
APART = (
    "x {reference}: its latency there over a row's latency here, above 1 is faster here. The two were timed in "
    "different processes, one after the other and not side by side: what the machine did meanwhile is in the ratio, "
    "and its interval joins both of theirs. On {first} itself they were timed side by side."
)


def runtime_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One for each device and thread count with several runtimes or providers."""
    rows = everybody(len(evidence.cases))
    return tuple(
        TargetTable(threads_name(race.targets[0]), _table(evidence, race), tuple(_said(evidence, race)), rows)
        for race in races(evidence)
    )


def _table(evidence: Evidence, race: Race) -> Table:
    specs: list[ColumnSpec[float] | ColumnSpec[Estimate]] = []
    for target in race.targets:
        specs.append(_size(target))
        for setting in (one for one in race.settings if one[0] == target):
            specs += [_p50(setting), _speedup(evidence, race, setting)]
    columns = (case_column(evidence.cases), *filled(specs, evidence.cases))
    return Table(evidence.cases, columns, (_apart(evidence, race),))


def _apart(evidence: Evidence, race: Race) -> str:
    return APART.format(reference=_reference(evidence, race), first=target_place(race.targets[0]))


def _reference(evidence: Evidence, race: Race) -> str:
    return f"{baseline_name(evidence)} on {target_place(race.targets[0])}"


def _gain(evidence: Evidence, race: Race, case: CaseView, setting: Setting) -> Estimate | None:
    first = race.first(setting)
    if first == setting:
        view = case.latency.get(setting)
        return view.speedup.get("baseline") if view and case.name != evidence.results.plan.baseline else None
    baseline = next((one for one in evidence.cases if one.name == evidence.results.plan.baseline), None)
    return speedup_over(case, setting, first, baseline) if first is not None and baseline is not None else None


def _size(target: str) -> ColumnSpec[float]:
    def size(case: CaseView) -> float | None:
        return case.size[target].file_bytes if target in case.size else None

    return ColumnSpec(
        "runtime_bytes", "File", size, scaled(units.BYTES), NO_SIZE, place=target_place(target), targets=(target,),
        is_optional=True,
    )  # fmt: skip


def _p50(setting: Setting) -> ColumnSpec[Estimate]:
    def p50(case: CaseView) -> Estimate | None:
        return case.latency[setting].p50_ns if setting in case.latency else None

    def notes(case: CaseView) -> list[str]:
        view = case.latency[setting]
        told = case.execution.get(setting)
        return [*map(explained, view.warnings), *(told.notes if told is not None else ())]

    return ColumnSpec(
        "runtime_p50", "p50", p50, middles(scaled(units.NANOSECONDS)), NOT_TIMED, place=setting_place(setting),
        targets=(setting[0],), notes=notes, is_optional=True,
    )  # fmt: skip


def _speedup(evidence: Evidence, race: Race, setting: Setting) -> ColumnSpec[Estimate]:
    def missing(case: CaseView) -> str:
        if setting == race.first(setting) and case.name == evidence.results.plan.baseline:
            return REFERENCE
        return reason(case.problems_on(setting[0]), NO_RATIO)

    return ColumnSpec(
        "runtime_speedup", "Faster", lambda case: _gain(evidence, race, case, setting), ratios, missing,
        f"x {_reference(evidence, race)}", place=setting_place(setting), targets=(setting[0],), is_optional=True,
    )  # fmt: skip


def _said(evidence: Evidence, race: Race) -> Iterator[Sentence]:
    """For each case where it is fastest, at the smallest batch size, with the ratio to the reference."""
    batch = min(batch for _, batch in race.settings)
    for case in evidence.cases:
        timed = [setting for setting in race.settings if setting[1] == batch and setting in case.latency]
        if len(timed) < 2:
            continue
        best = min(timed, key=lambda setting: case.latency[setting].p50_ns.value)
        gain = _gain(evidence, race, case, best)
        ratio = f": {units.ratio(gain.value, gain.low, gain.high)} against {_reference(evidence, race)}" if gain else ""
        yield Sentence(f"{quoted(case.name)} is fastest on {setting_place(best)}{ratio}.")
