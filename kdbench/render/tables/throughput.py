"""Throughput at each batch size and thread count, and the gain from more threads, one table a provider."""

from collections.abc import Iterator, Mapping, Sequence

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import ProviderSweep, outstanding, provider_sweeps, speedup_over
from kdbench.render.tables.cells import Column, Table
from kdbench.render.tables.columns import ColumnSpec, case_column, filled, in_unit, middles, ratios, reason
from kdbench.render.tables.target_table import TargetTable, bold, everybody
from kdbench.render.tables.throughput_columns import (
    latency_warnings,
    throughput_legend,
    throughput_of,
    throughput_unit,
)
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import NOT_TIMED, provider_place, quoted, threads_name
from kdbench.results.records import CallSize

NOT_BOTH = "it was not timed with both thread counts"
INTERVALS = "The intervals stand in the decision table's throughput columns."
BOLD = "Bold: the highest throughput of a row, where its interval lies beyond every other one's; else none is."
APART = (
    "x {fewest}: throughput over that with {fewest} at the same batch size, above 1 is faster. The two were timed in "
    "different processes, one after the other and not side by side: what the machine did meanwhile is in it. Its "
    "interval joins both of theirs."
)
Gain = tuple[CaseView, CallSize, Estimate]
"""A case at a batch size, and how many times faster more threads are."""


def throughput_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One for each provider that was measured at several batch sizes or thread counts."""
    rows = everybody(len(evidence.cases))
    return tuple(
        TargetTable(provider_place(sweep.targets[0]), _table(evidence, sweep), tuple(_said(evidence, sweep)), rows)
        for sweep in provider_sweeps(evidence)
    )


def _table(evidence: Evidence, sweep: ProviderSweep) -> Table:
    cases, unit = evidence.cases, throughput_unit(evidence.cases, sweep.settings)
    best = {case.name: outstanding(_found(case, sweep)) for case in cases}
    rates = [
        bold(column, [best[case.name] == setting for case in cases])
        for setting in sweep.settings
        for column in filled([_rate(setting, unit)], cases)
    ]
    speedups = filled((_speedup(more, fewest) for more, fewest in sweep.more_threads), cases)
    return Table(cases, (case_column(cases), *rates, *speedups), tuple(_legend(evidence, sweep, rates)))


def _legend(evidence: Evidence, sweep: ProviderSweep, rates: Sequence[Column]) -> Iterator[str]:
    yield from throughput_legend(evidence)
    yield INTERVALS
    if any(cell.stands_out for column in rates for cell in column.cells):
        yield BOLD
    if sweep.more_threads:
        yield APART.format(fewest=threads_name(sweep.targets[0]))


def _rate(setting: Setting, unit: units.Unit) -> ColumnSpec[Estimate]:
    return ColumnSpec(
        "throughput", f"Batch {setting[1]}", lambda case: throughput_of(case, setting), middles(in_unit(unit)),
        NOT_TIMED, place=threads_name(setting[0]), targets=(setting[0],),
        notes=lambda case: latency_warnings(case, setting),
    )  # fmt: skip


def _found(case: CaseView, sweep: ProviderSweep) -> Mapping[Setting, Estimate]:
    return {setting: found for setting in sweep.settings if (found := throughput_of(case, setting))}


def _speedup(more: Setting, fewest: Setting) -> ColumnSpec[Estimate]:
    def missing(case: CaseView) -> str:
        return reason((*case.problems_on(fewest[0]), *case.problems_on(more[0])), NOT_BOTH)

    return ColumnSpec(
        "thread_speedup", f"Batch {more[1]}", lambda case: speedup_over(case, more, fewest), ratios, missing,
        f"x {threads_name(fewest[0])}", place=threads_name(more[0]),
    )  # fmt: skip


def _said(evidence: Evidence, sweep: ProviderSweep) -> list[Sentence]:
    """How often each larger thread count is faster, slower, or neither."""
    found = []
    for target in sweep.targets[1:]:
        pairs = [pair for pair in sweep.more_threads if pair[0][0] == target]
        gains = [
            (case, more[1], gain)
            for case in evidence.cases
            for more, fewest in pairs
            if (gain := speedup_over(case, more, fewest)) is not None
        ]
        if gains:
            told = "; ".join(_counts(gains))
            start = f"{threads_name(target)} over {threads_name(sweep.targets[0])}, not timed side by side"
            found.append(Sentence(f"{start}: {told}."))
    return found


def _counts(gains: Sequence[Gain]) -> list[str]:
    faster = [gain for gain in gains if gain[2].low is not None and gain[2].low > 1]
    slower = [gain for gain in gains if gain[2].high is not None and gain[2].high < 1]
    told = len(faster) + len(slower)
    parts = [
        f"faster in {_most(faster, len(gains), max(faster, key=_ratio))}" if faster else "",
        f"slower in {_most(slower, len(gains), min(slower, key=_ratio))}" if slower else "",
        f"not to be told apart in {len(gains) - told} of {len(gains)}" if told < len(gains) else "",
    ]
    return [part for part in parts if part]


def _most(some: Sequence[Gain], count: int, most: Gain) -> str:
    case, batch, gain = most
    ratio = units.ratio(gain.value, gain.low, gain.high)
    return f"{len(some)} of {count}, most {quoted(case.name)} at batch {batch}: {ratio}"


def _ratio(gain: Gain) -> float:
    return gain[2].value
