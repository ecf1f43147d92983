"""Which columns of the decision table a screen shows first, and the styles by which a reader chooses others.

The choice works without a script: a column shows while its box is ticked and its target is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kdbench.evidence import Evidence
from kdbench.render.tables.cells import Column, Table, mark_width
from kdbench.render.words.words import target_place

ROOM = 1184
"""Pixels that a page of 1,280 has for a table."""
CHARACTER, MARK, GAP, SIGN = 7.2, 5.5, 18.0, 20.0
"""Pixels: of a cell's character, of a footnote's sign, between two columns, and of the sign before a case's name."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns under one heading, each with its place in the table."""

    name: str
    columns: tuple[tuple[int, Column], ...]


@dataclass(frozen=True)
class Choice:
    """A table whose columns and targets can be chosen."""

    table: Table
    targets: tuple[str, ...]
    """Every target that its columns name, in the report's order."""

    @cached_property
    def widths(self) -> tuple[float, ...]:
        """Pixels that each column takes, as near as its letters tell."""
        return tuple(_width(column, self.table.footnotes) for column in self.table.columns)

    @cached_property
    def places(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The targets that a reader can choose between, each with the columns that it hides; none if all targets fit.

        The first place is chosen to begin with; the last one hides nothing.
        """
        columns = enumerate(self.table.columns)
        room = sum(width for (_, column), width in zip(columns, self.widths, strict=True) if not column.is_hidden)
        if len(self.targets) < 2 or room <= ROOM:
            return ()
        each = [(target_place(target), self._without(target)) for target in self.targets]
        return (*each, ("all of them", ()))

    def _without(self, target: str) -> tuple[int, ...]:
        """The columns that say nothing of a target."""
        columns = enumerate(self.table.columns)
        return tuple(place for place, column in columns if column.targets and target not in column.targets)

    @cached_property
    def shown(self) -> frozenset[int]:
        """The columns that are ticked to begin with: those that fit beside each other, the most important first."""
        if not self.places:
            return self._fitting(())
        chosen = [self._fitting(hidden) for _, hidden in self.places[:-1]]
        return frozenset(place for fitting in chosen for place in fitting)

    def _fitting(self, hidden: Sequence[int]) -> frozenset[int]:
        left, found = ROOM * 1.0, []
        ranked = sorted(range(len(self.widths)), key=lambda place: self.table.columns[place].rank)
        for place in ranked:
            column = self.table.columns[place]
            if place not in hidden and not column.is_hidden and (self.widths[place] <= left or column.rank == 0):
                found.append(place)
                left -= self.widths[place]
        return frozenset(found)

    @cached_property
    def groups(self) -> tuple[ColumnGroup, ...]:
        """The columns that can be chosen, by their group."""
        found: dict[str, list[tuple[int, Column]]] = {}
        for place, column in enumerate(self.table.columns):
            if column.group:
                found.setdefault(column.group, []).append((place, column))
        return tuple(ColumnGroup(name, tuple(columns)) for name, columns in found.items())

    @property
    def styles(self) -> str:
        """The rules that hide what is not chosen."""
        unticked = [
            f"#decision:not(:has(#column-{place}:checked)) {_cells(place)} {{ display: none; }}"
            for group in self.groups
            for place, _ in group.columns
        ]
        elsewhere = [
            f"#decision:has(#on-{number}:checked) :is({', '.join(map(_cells, hidden))}, {_boxes(hidden)}) "
            "{ display: none; }"
            for number, (_, hidden) in enumerate(self.places)
            if hidden
        ]
        return "\n".join([*unticked, *elsewhere])


def choice(evidence: Evidence, table: Table) -> Choice:
    """The decision table of a report, with the targets that its columns name."""
    named = {target for column in table.columns for target in column.targets}
    return Choice(table, tuple(target for target in evidence.targets if target in named))


def _cells(place: int) -> str:
    return f"#cases :is(th, td):nth-child({place + 1})"


def _boxes(places: Sequence[int]) -> str:
    return ", ".join(f"label[for='column-{place}']" for place in places)


def _width(column: Column, footnotes: Sequence[str]) -> float:
    """A heading's lines break between words, a cell's text does not."""
    words = [word for text in (column.group, column.title, column.unit) for word in text.split()]
    letters = max(map(len, [*words, *(cell.unmarked for cell in column.cells)]), default=0)
    marks = mark_width(column, footnotes)
    return letters * CHARACTER + marks * MARK + GAP + (SIGN if column.key == "case" else 0)
