"""What larger batches and more threads bring: a picture, and a table a provider."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.batch_sizes import batch_sizes
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Picture, Report, Section
from kdbench.render.report.markdown import tables_markdown
from kdbench.render.tables.target_table import TargetTables
from kdbench.render.tables.throughput import throughput_tables


def _blocks(report: Report, drawn: Sequence[Figure]) -> Iterator[Block]:
    yield from map(Picture, drawn)
    if (found := _tables(report.evidence)).tables:
        yield found


def _tables(evidence: Evidence) -> TargetTables:
    return TargetTables("throughput, one row a case", throughput_tables(evidence))


def throughput_markdown(evidence: Evidence) -> str:
    """The tables, one a provider; empty where none was measured at several settings."""
    return tables_markdown(evidence, "batch sizes and threads", _tables(evidence))


BATCH_SIZES = Section(
    "sweep", "Batch sizes and threads", _blocks, (batch_sizes,), {"throughput.md": throughput_markdown}
)
