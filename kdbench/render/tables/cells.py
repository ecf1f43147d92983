"""Cells, columns, footnotes and tables: finished text without its dress. Knows no statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kdbench import units
from kdbench.evidence import CaseView

HIDDEN = 10
"""Columns from this rank on are shown where they can be opened, and left out elsewhere."""

LONG = 28
"""Characters of a cell from which it may take more than one line."""


@dataclass(frozen=True)
class Cell:
    """A text and what hangs on it: letters of the groups that its case is in, and sentences for footnotes."""

    text: str
    letters: str = ""
    notes: tuple[str, ...] = ()
    value: float | None = None
    """The number to sort by; None sorts last."""
    stands_out: bool = False
    """Whether it is the best of its row beyond every interval, so that it deserves bold type."""

    @property
    def unmarked(self) -> str:
        """Text and letters, without the marks of footnotes."""
        return f"{self.text} {self.letters}" if self.letters else self.text


def dash(reason: str) -> Cell:
    """A missing number, with a footnote that says why it is missing."""
    return Cell(units.MISSING, notes=(reason,))


@dataclass(frozen=True)
class Column:
    """One column as it is shown."""

    key: str
    title: str
    unit: str
    cells: tuple[Cell, ...]
    topic: str = ""
    """The subject that it shares with its neighbours, such as "Size"."""
    place: str = ""
    """Where it holds, such as "cpu, 1 thread, batch 1"; empty where it holds everywhere."""
    rank: int = 0
    """How much it matters: 0 is never left out, the highest rank is left out first."""
    later: int = 0
    """Added to the rank where there is no room to choose a target: so much less does this target matter."""
    targets: tuple[str, ...] = ()
    """The targets that it is about; empty for all."""

    @property
    def group(self) -> str:
        """The heading that it shares with its neighbours."""
        return " on ".join(part for part in (self.topic, self.place) if part)

    @property
    def is_long(self) -> bool:
        """Whether it holds sentences rather than numbers, whose lines may break."""
        return max((len(cell.text) for cell in self.cells), default=0) > LONG

    @property
    def order(self) -> int:
        """Its place in a table that shows every target at once: the lowest first."""
        return self.rank + self.later

    @property
    def is_hidden(self) -> bool:
        """Whether a reader has to open it."""
        return self.rank >= HIDDEN


@dataclass(frozen=True)
class Table:
    """Columns in reading order over the same rows."""

    rows: tuple[CaseView, ...]
    columns: tuple[Column, ...]
    legend: tuple[str, ...]
    """Sentences that say how to read it."""

    @cached_property
    def footnotes(self) -> tuple[str, ...]:
        """The sentences of its cells, each once, in the order of the columns; the first has number 1."""
        return footnotes_of([self])

    def best_ranked(self, count: int) -> tuple[Column, ...]:
        """The `count` columns that matter most, in reading order."""
        kept = sorted(self.columns, key=lambda column: column.order)[:count]
        return tuple(column for column in self.columns if column in kept)

    def only(self, columns: Sequence[Column]) -> "Table":
        """The table with these columns alone, and the footnotes of these."""
        return replace(self, columns=tuple(columns))


def footnotes_of(tables: Sequence[Table]) -> tuple[str, ...]:
    """The footnotes that several tables share: each sentence once."""
    cells = (cell for table in tables for column in table.columns for cell in column.cells)
    return tuple(dict.fromkeys(note for cell in cells for note in cell.notes))


def numbers_of(cell: Cell, footnotes: Sequence[str]) -> list[int]:
    """The numbers of a cell's footnotes among `footnotes`, in rising order."""
    return sorted(footnotes.index(note) + 1 for note in cell.notes)


def marks_of(cell: Cell, footnotes: Sequence[str]) -> str:
    """The numbers of a cell's footnotes as raised digits, with a blank between two."""
    return " ".join(units.mark(number) for number in numbers_of(cell, footnotes))


def mark_width(column: Column, footnotes: Sequence[str]) -> int:
    """Characters that the longest signs of a column's footnotes take on a page, commas included."""
    return max((len(",".join(map(str, numbers_of(cell, footnotes)))) for cell in column.cells), default=0)
