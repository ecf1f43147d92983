"""The decision table in a terminal: as many of its columns as the width holds. rich handles colour and pipes."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from kdbench.evidence import Evidence
from kdbench.render.tables.cells import HIDDEN, Column, Table, marks_of
from kdbench.render.tables.table import build_table
from kdbench.units import mark

PADDING = 2
"""Blanks between two columns."""


def drawn_table(evidence: Evidence, width: int) -> RenderableType:
    """The table and its notes for a console of `width` characters."""
    whole = build_table(evidence)
    table = whole.only(_fitting(whole, width))
    drawn = RichTable(box=None, padding=(0, PADDING, 0, 0), header_style="bold", pad_edge=False)
    texts = [_texts(column, table.footnotes) for column in table.columns]
    for column in table.columns:
        drawn.add_column(Text(_heading(column)), justify="left" if column.key == "case" else "right", no_wrap=True)
    for place in range(len(table.rows)):
        drawn.add_row(*(Text(column[place]) for column in texts))
    return Group(drawn, Text(""), *(Text(line, style="dim") for line in [*_left_out(whole, table), *_notes(table)]))


def as_text(evidence: Evidence, console: Console) -> str:
    """The table as `console` would print it: plain for a pipe, and without colour if NO_COLOR is set."""
    with console.capture() as capture:
        console.print(drawn_table(evidence, console.width))
    return capture.get().rstrip("\n")


def _fitting(table: Table, width: int) -> tuple[Column, ...]:
    """Columns in the order of their rank, each if there is room for it still; shown in reading order."""
    kept, left = [], width + PADDING
    for column in sorted(table.columns, key=lambda column: column.order):
        needed = _width(column, table.footnotes) + PADDING
        if column.order == 0 or (column.order < HIDDEN and needed <= left):
            kept.append(column)
            left -= needed
    return tuple(column for column in table.columns if column in kept)


def _left_out(whole: Table, table: Table) -> list[str]:
    """The columns that the width had no room for: training cost in a line of its own, the others by name."""
    shown = {(column.key, column.group) for column in table.columns}
    missing = [column for column in whole.columns if column.order < HIDDEN and (column.key, column.group) not in shown]
    names = [cell.unmarked for column in whole.columns if column.key == "case" for cell in column.cells]
    lines = [
        f"Training a seed: {', '.join(f'{name} {cell.text}' for name, cell in zip(names, column.cells, strict=True))}."
        for column in missing
        if column.key == "training"
    ]
    others = [" ".join(_heading(column).split()) for column in missing if column.key != "training"]
    return [*lines, f"In the report, or in a wider terminal: {'; '.join(others)}."] if others else lines


def _width(column: Column, footnotes: Sequence[str]) -> int:
    return max(len(text) for text in (*_heading(column).split("\n"), *_texts(column, footnotes)))


def _texts(column: Column, footnotes: Sequence[str]) -> list[str]:
    """Its cells, the room for marks kept free in each so that numbers stay aligned."""
    marks = [marks_of(cell, footnotes) for cell in column.cells]
    widest = max(map(len, marks), default=0)
    if not widest:
        return [cell.unmarked for cell in column.cells]
    return [f"{cell.unmarked} {mark:<{widest}}" for cell, mark in zip(column.cells, marks, strict=True)]


def _heading(column: Column) -> str:
    return f"{column.place}\n{column.title}\n{column.unit}"


def _notes(table: Table) -> list[str]:
    return [*(f"{mark(place)} {note}" for place, note in enumerate(table.footnotes, start=1)), *table.legend]
