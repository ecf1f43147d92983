"""What a table is made of: cells, columns, footnotes. Knows no statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kdbench import units
from kdbench.evidence import CaseView


@dataclass(frozen=True)
class Cell:
    """Text, and what hangs on it: a group's letters, footnote signs."""

    text: str
    letters: str = ""
    notes: tuple[int, ...] = ()
    value: float | None = None
    """What it sorts by; None sorts last."""
    stands_out: bool = False
    """Whether it is the best of its row beyond every interval, so worth bold face."""

    @property
    def marks(self) -> str:
        return " ".join(units.mark(place) for place in self.notes)

    @property
    def unmarked(self) -> str:
        """Text and letters."""
        return f"{self.text} {self.letters}" if self.letters else self.text


@dataclass(frozen=True)
class Column:
    """`rank`: 0 is never dropped, the highest first; `group` is what its neighbours share."""

    key: str
    title: str
    unit: str
    group: str
    rank: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Columns in reading order over the same rows."""

    rows: tuple[CaseView, ...]
    columns: tuple[Column, ...]
    footnotes: tuple[str, ...]
    legend: tuple[str, ...]
    """How to read it."""

    def best_ranked(self, count: int) -> tuple[Column, ...]:
        """The `count` columns that matter most, in reading order."""
        kept = sorted(self.columns, key=lambda column: column.rank)[:count]
        return tuple(column for column in self.columns if column in kept)

    def only(self, columns: Sequence[Column]) -> "Table":
        """These columns alone, with the footnotes they use, numbered anew."""
        used = sorted({note for column in columns for cell in column.cells for note in cell.notes})
        numbers = {note: place for place, note in enumerate(used, start=1)}
        kept = tuple(
            replace(
                column, cells=tuple(replace(c, notes=tuple(numbers[note] for note in c.notes)) for c in column.cells)
            )
            for column in columns
        )
        return replace(self, columns=kept, footnotes=tuple(self.footnotes[note - 1] for note in used))


@dataclass
class Footnotes:
    """Sentences numbered in the order they are first needed."""

    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(self.numbers)

    def place(self, sentence: str) -> int:
        return self.numbers.setdefault(sentence, len(self.numbers) + 1)

    def missing(self, problems: Sequence[str], otherwise: str) -> Cell:
        """A dash with the reason that problems give, where there are any."""
        return Cell(units.MISSING, notes=(self.place("; ".join(problems) or otherwise),))


def aligned_cells(found: Sequence[tuple[str, float] | Cell]) -> tuple[Cell, ...]:
    """Cells of (text, value) with their decimal points under each other; ready-made cells stay as they are."""
    padded = iter(units.aligned([item[0] for item in found if not isinstance(item, Cell)]))
    return tuple(item if isinstance(item, Cell) else Cell(next(padded), value=item[1]) for item in found)
