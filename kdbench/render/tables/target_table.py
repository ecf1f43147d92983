"""A table of its own for one target, beside the decision table. Knows no statistics."""

from dataclasses import dataclass

from kdbench.render.tables.cells import Table
from kdbench.render.words.sentences import Sentence


@dataclass(frozen=True)
class TargetTable:
    """Some cases on one target; `sentences` say what to notice."""

    place: str
    table: Table
    sentences: tuple[Sentence, ...]
    rows: tuple[int, ...]
    """Where each case stands in the decision table."""

    @property
    def most_notes(self) -> list[int]:
        """By column: the most footnotes of a cell."""
        return [max((len(cell.notes) for cell in column.cells), default=0) for column in self.table.columns]
