"""Throughput as a column of the decision table, and its unit and words that other forms share."""

from collections.abc import Iterator, Sequence
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import amount_throughput, is_varied, throughput
from kdbench.render.tables.columns import ColumnSpec, middles, scaled, spreads
from kdbench.render.words.words import NOT_TIMED, explained

RANK = 22
"""After every column that says more than the latency does."""
LARGEST = 6
"""The rank of tokens a second at the first target's largest call: among what any form of the table shows."""


def _a_second(what: str) -> tuple[units.Unit, ...]:
    return tuple(units.Unit(f"{prefix}{what}/s", size) for prefix, size in (("", 1.0), ("k ", 1e3), ("M ", 1e6)))


EXAMPLES_A_SECOND = _a_second("examples")


def throughput_column(evidence: Evidence, setting: Setting, where: dict[str, Any]) -> Iterator[ColumnSpec[Estimate]]:
    """Examples a second, where that is not the latency again; tokens or seconds of sound, where lengths vary."""
    if is_varied(evidence):
        yield ColumnSpec(
            "throughput", "Throughput", lambda case: throughput_of(case, setting), spreads(EXAMPLES_A_SECOND),
            NOT_TIMED, rank=RANK, notes=lambda case: latency_warnings(case, setting), **where,
        )  # fmt: skip
    told = evidence.results.amount(setting[1])
    if told is not None:
        largest = max((one for one in evidence.settings if one[0] == evidence.settings[0][0]), key=lambda one: one[1])
        yield ColumnSpec(
            "amount_throughput", "Throughput", lambda case: _amount(evidence, case, setting),
            middles(scaled(_a_second(told[1]))), NOT_TIMED, rank=LARGEST if setting == largest else RANK,
            notes=lambda case: latency_warnings(case, setting), **where,
        )  # fmt: skip


def _amount(evidence: Evidence, case: CaseView, setting: Setting) -> Estimate | None:
    found = amount_throughput(evidence, case, setting)
    return None if found is None else found[0]


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
    named = dict.fromkeys(told[1] for _, size in evidence.settings if (told := evidence.results.amount(size)))
    for what in named:
        yield f"{what[0].upper()}{what[1:]}/s are those of a call (batch size x length, no padding) / p50."
