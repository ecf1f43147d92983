"""Where every file ran, and in which precision."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Section
from kdbench.render.report.markdown import tables_markdown
from kdbench.render.report.tidy import executions
from kdbench.render.tables.execution import execution_tables
from kdbench.render.tables.target_table import TargetTables


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if (found := _tables(report.evidence)).tables:
        yield found


def _tables(evidence: Evidence) -> TargetTables:
    return TargetTables("one row a case", execution_tables(evidence))


def execution_markdown(evidence: Evidence) -> str:
    """The tables, one a target; empty where nothing says what ran where."""
    return tables_markdown(evidence, "what ran where", _tables(evidence))


EXECUTION = Section(
    "execution",
    "What ran where",
    _blocks,
    texts={"execution.md": execution_markdown, "execution.csv": executions},
)
