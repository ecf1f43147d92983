"""Throughput as a column of the decision table, and as the cells that other tables share."""

from collections.abc import Iterator, Sequence

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.throughput import is_varied, throughput
from kdbench.render.tables.cells import Cell, Column, Footnotes
from kdbench.render.tables.use_columns import spread
from kdbench.render.words.words import NOT_TIMED, explained

RANK = 22
"""Behind everything that says more than the latency does."""
EXAMPLES_A_SECOND = (
    units.Unit("examples/s", 1.0),
    units.Unit("k examples/s", 1e3),
    units.Unit("M examples/s", 1e6),
)


def throughput_columns(evidence: Evidence, setting: Setting, place: str, notes: Footnotes) -> list[Column]:
    """Examples a second, where that is not the latency again."""
    if not is_varied(evidence):
        return []
    unit = throughput_unit(evidence.cases, [setting])
    cells = tuple(throughput_cell(case, setting, unit, notes, with_interval=True) for case in evidence.cases)
    return [Column("throughput", "Throughput", unit.name, place, RANK, cells)]


def throughput_unit(cases: Sequence[CaseView], settings: Sequence[Setting]) -> units.Unit:
    """One for all of them."""
    timed = [(case.latency[setting], setting[1]) for case in cases for setting in settings if setting in case.latency]
    return units.common_unit([throughput(view, batch).value for view, batch in timed], EXAMPLES_A_SECOND)


def throughput_cell(
    case: CaseView, setting: Setting, unit: units.Unit, notes: Footnotes, with_interval: bool = False
) -> Cell:
    """With the warnings on the latency behind it."""
    view = case.latency.get(setting)
    if view is None:
        return notes.missing(case.problems_on(setting[0]), NOT_TIMED)
    found = throughput(view, setting[1])
    marks = tuple(notes.place(explained(word)) for word in view.warnings)
    text = spread(found, unit) if with_interval else units.in_unit(found.value, unit)
    return Cell(text, notes=marks, value=found.value)


def throughput_legend(evidence: Evidence) -> Iterator[str]:
    """How to read it; nothing where there is none."""
    if is_varied(evidence):
        yield (
            "Throughput is batch size / p50: of one caller whose calls follow each other, not of several at once. Its "
            "interval is the p50's, over measuring processes and seeds."
        )
