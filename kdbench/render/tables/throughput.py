"""Batch sizes and threads: throughput at each, and what more threads bring, one table a provider."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import (
    ProviderSweep,
    outstanding,
    provider_sweeps,
    thread_speedup,
    throughput,
)
from kdbench.render.tables.cells import Cell, Column, Footnotes, Table
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.tables.throughput_columns import throughput_cell, throughput_legend, throughput_unit
from kdbench.render.words.sentences import Sentence
from kdbench.render.words.words import provider_place, quoted, threads_name

NOT_BOTH = "it was not timed with both thread counts"
INTERVALS = "The intervals stand in the decision table's throughput columns."
BOLD = "Bold: the highest throughput of a row, where its interval lies beyond every other one's; else none is."
APART = (
    "x {fewest}: throughput over that with {fewest} at the same batch size, above 1 is faster. The two were timed in "
    "different processes, one after the other and not side by side: what the machine did meanwhile is in it. Its "
    "interval joins both of theirs."
)
Gain = tuple[CaseView, int, Estimate]
"""A case at a batch size, and how many times faster more threads are."""


def throughput_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One for each provider that was measured at several batch sizes or thread counts."""
    everybody = tuple(range(len(evidence.cases)))
    return tuple(
        TargetTable(provider_place(sweep.targets[0]), _table(evidence, sweep), tuple(_said(evidence, sweep)), everybody)
        for sweep in provider_sweeps(evidence)
    )


def _table(evidence: Evidence, sweep: ProviderSweep) -> Table:
    notes = Footnotes()
    columns = [
        Column("case", "Case", "", "", 0, tuple(Cell(case.name) for case in evidence.cases)),
        *_throughputs(evidence, sweep, notes),
        *(_speedups(evidence, more, fewest, notes) for more, fewest in sweep.more_threads),
    ]
    return Table(evidence.cases, tuple(columns), notes.sentences, tuple(_legend(evidence, sweep, columns)))


def _legend(evidence: Evidence, sweep: ProviderSweep, columns: Sequence[Column]) -> Iterator[str]:
    yield from throughput_legend(evidence)
    yield INTERVALS
    if any(cell.stands_out for column in columns for cell in column.cells):
        yield BOLD
    if sweep.more_threads:
        yield APART.format(fewest=threads_name(sweep.targets[0]))


def _throughputs(evidence: Evidence, sweep: ProviderSweep, notes: Footnotes) -> list[Column]:
    unit = throughput_unit(evidence.cases, sweep.settings)
    best = {case.name: outstanding(_found(case, sweep)) for case in evidence.cases}

    def made(setting: Setting) -> tuple[Cell, ...]:
        cells = [throughput_cell(case, setting, unit, notes) for case in evidence.cases]
        return tuple(
            replace(cell, text=text, stands_out=best[case.name] == setting)
            for case, cell, text in zip(evidence.cases, cells, units.aligned([c.text for c in cells]), strict=True)
        )

    return [
        Column("throughput", f"Batch {setting[1]}", unit.name, threads_name(setting[0]), 0, made(setting))
        for setting in sweep.settings
    ]


def _found(case: CaseView, sweep: ProviderSweep) -> Mapping[Setting, Estimate]:
    timed = (setting for setting in sweep.settings if setting in case.latency)
    return {setting: throughput(case.latency[setting], setting[1]) for setting in timed}


def _speedups(evidence: Evidence, more: Setting, fewest: Setting, notes: Footnotes) -> Column:
    cells = tuple(_speedup(case, more, fewest, notes) for case in evidence.cases)
    over = f"x {threads_name(fewest[0])}"
    return Column("thread_speedup", f"Batch {more[1]}", over, threads_name(more[0]), 0, cells)


def _speedup(case: CaseView, more: Setting, fewest: Setting, notes: Footnotes) -> Cell:
    found = thread_speedup(case, more, fewest)
    if found is None:
        problems = dict.fromkeys((*case.problems_on(fewest[0]), *case.problems_on(more[0])))
        return notes.missing(tuple(problems), NOT_BOTH)
    return Cell(units.ratio(found.value, found.low, found.high), value=found.value)


def _said(evidence: Evidence, sweep: ProviderSweep) -> list[Sentence]:
    """For each thread count but the fewest: how often it is faster, how often slower, how often neither."""
    found = []
    for target in sweep.targets[1:]:
        pairs = [pair for pair in sweep.more_threads if pair[0][0] == target]
        gains = [
            (case, more[1], gain)
            for case in evidence.cases
            for more, fewest in pairs
            if (gain := thread_speedup(case, more, fewest)) is not None
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
