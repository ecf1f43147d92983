"""Each compressed case beside the uncompressed student that it came from."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Section
from kdbench.render.report.markdown import tables_markdown
from kdbench.render.tables.compression import compression_tables
from kdbench.render.tables.target_table import TargetTables


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if (found := _tables(report.evidence)).tables:
        yield found


def _tables(evidence: Evidence) -> TargetTables:
    return TargetTables("one row a compressed case", compression_tables(evidence))


def compression_markdown(evidence: Evidence) -> str:
    """The tables, one a target; empty where nothing is compressed."""
    return tables_markdown(evidence, "compression", _tables(evidence))


COMPRESSION = Section("compression", "Compression", _blocks, texts={"compression.md": compression_markdown})
