"""The decision table, one row a case."""

from collections.abc import Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Decision, Report, Section
from kdbench.render.report.latex import latex
from kdbench.render.report.markdown import markdown


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    yield Decision(report.table)


DECISION = Section(
    "table", "The table", _blocks, short="Table", texts={"table.md": markdown, "table.tex": latex}
)  # fmt: skip
