"""A table of its own for one target or provider, beside the decision table. Knows no statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kdbench.render.tables.cells import Column, Table, footnotes_of
from kdbench.render.words.sentence import Sentence


@dataclass(frozen=True)
class TargetTable:
    """Some cases on one target; `sentences` say what to notice."""

    place: str
    table: Table
    sentences: tuple[Sentence, ...]
    rows: tuple[int, ...]
    """Where each case stands in the decision table."""

    @property
    def parts(self) -> tuple[Table, Table | None]:
        """The columns that a reader meets first, and the others with the cases' names; None where there are none."""
        case, *rest = self.table.columns
        hidden = [column for column in rest if column.is_hidden]
        shown: list[Column] = [case, *(column for column in rest if not column.is_hidden)]
        return self.table.only(shown), self.table.only([case, *hidden]) if hidden else None


@dataclass(frozen=True)
class TargetTables:
    """Tables of one kind. They share their footnotes, and each sentence of their legends is said once."""

    what: str
    """Says what one row is, for the caption."""
    tables: tuple[TargetTable, ...]

    @property
    def footnotes(self) -> tuple[str, ...]:
        """The sentences that the marks of all tables number."""
        return footnotes_of([one.table for one in self.tables])

    @property
    def legend(self) -> tuple[str, ...]:
        """The sentences of all legends, each once."""
        return tuple(dict.fromkeys(sentence for one in self.tables for sentence in one.table.legend))


def everybody(count: int) -> tuple[int, ...]:
    """The rows of a table that has all `count` cases."""
    return tuple(range(count))


def bold(column: Column, rows: Sequence[bool]) -> Column:
    """The column with some of its cells in bold type."""
    cells = (replace(cell, stands_out=best) for cell, best in zip(column.cells, rows, strict=True))
    return replace(column, cells=tuple(cells))
