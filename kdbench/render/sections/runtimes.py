"""The same cases in several runtimes of one machine."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Section
from kdbench.render.report.markdown import tables_markdown
from kdbench.render.tables.runtimes import runtime_tables
from kdbench.render.tables.target_table import TargetTables


def _blocks(report: Report, drawn: Sequence[Figure]) -> Iterator[Block]:
    if (found := _tables(report.evidence)).tables:
        yield found


def _tables(evidence: Evidence) -> TargetTables:
    return TargetTables("runtimes and providers, one row a case", runtime_tables(evidence))


def runtimes_markdown(evidence: Evidence) -> str:
    """The tables, one a device and thread count; empty where nothing ran in several runtimes."""
    return tables_markdown(evidence, "runtimes and providers", _tables(evidence))


RUNTIMES = Section("runtimes", "Runtimes and providers", _blocks, (), {"runtimes.md": runtimes_markdown})
