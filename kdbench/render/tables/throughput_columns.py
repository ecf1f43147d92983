"""Throughput as a column of the decision table, and its unit and words that other forms share."""

from collections.abc import Iterator, Sequence
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import is_varied, throughput
from kdbench.render.tables.columns import ColumnSpec, spreads
from kdbench.render.words.words import NOT_TIMED, explained

RANK = 22
"""After every column that says more than the latency does."""
EXAMPLES_A_SECOND = (
    units.Unit("examples/s", 1.0),
    units.Unit("k examples/s", 1e3),
    units.Unit("M examples/s", 1e6),
)


def throughput_column(evidence: Evidence, setting: Setting, where: dict[str, Any]) -> Iterator[ColumnSpec[Estimate]]:
    """Examples a second, where that is not the latency again."""
    if is_varied(evidence):
        yield ColumnSpec(
            "throughput", "Throughput", lambda case: throughput_of(case, setting), spreads(EXAMPLES_A_SECOND),
            NOT_TIMED, rank=RANK, notes=lambda case: latency_warnings(case, setting), **where,
        )  # fmt: skip


def throughput_of(case: CaseView, setting: Setting) -> Estimate | None:
    """A case's throughput at a setting; None where it was not timed."""
    return throughput(view, setting[1].batch_size) if (view := case.latency.get(setting)) else None


def latency_warnings(case: CaseView, setting: Setting) -> list[str]:
    """The warnings on the latency from which a throughput is computed."""
    return [explained(word) for word in case.latency[setting].warnings]


def throughput_unit(cases: Sequence[CaseView], settings: Sequence[Setting]) -> units.Unit:
    """The unit that fits the throughputs of all these cases and settings."""
    found = (throughput_of(case, setting) for case in cases for setting in settings)
    return units.common_unit([one.value for one in found if one], EXAMPLES_A_SECOND)


def throughput_legend(evidence: Evidence) -> Iterator[str]:
    """How to read throughput; nothing where none is shown."""
    if is_varied(evidence):
        yield (
            "Throughput is batch size / p50: of one caller whose calls follow each other, not of several at once. Its "
            "interval is the p50's, over measuring processes and seeds."
        )
