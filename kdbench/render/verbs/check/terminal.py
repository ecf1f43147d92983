"""A check in a terminal: the answer, a table with the worst on top, what every row that is not ok has to say."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kdbench.check import Checked, Row, Verdict
from kdbench.render.verbs.check import words

WIDTH = 140
"""Characters of a line where nobody says how wide it is: a log, a file."""
PADDING = 2
COLORS = {
    **dict.fromkeys((Verdict.SLOWER, Verdict.LESS_ACCURATE, Verdict.WORSE, Verdict.LARGER), "bold red"),
    **dict.fromkeys((Verdict.WRONG_PROVIDER, Verdict.ERRORED), "bold magenta"),
    Verdict.CANNOT_TELL: "yellow",
    Verdict.OK: "green",
}
ANSWER_COLORS = {0: "bold green", 1: "bold magenta", 3: "bold red", 4: "bold yellow"}


@dataclass(frozen=True)
class Column:
    """`rank`: 0 stays however narrow it is, the highest goes first."""

    heading: str
    rank: int
    text: Callable[[Row], str]
    is_number: bool = False


COLUMNS = (
    Column("Verdict", 0, lambda row: row.verdict),
    Column("Case", 0, lambda row: words.printable(row.case)),
    Column("Seed", 0, lambda row: words.seed(row), True),
    Column("Metric", 0, words.metric),
    Column("On", 1, words.place),
    Column("Change (interval)", 2, words.change, True),
    Column("Limit", 3, words.limit, True),
    Column("New", 4, lambda row: words.measured(row, row.new), True),
    Column("Reference", 5, lambda row: words.measured(row, row.reference), True),
)


def plain_console() -> Console:
    """A console as wide as the terminal, else WIDTH, without colours."""
    width = shutil.get_terminal_size((WIDTH, 0)).columns
    return Console(file=StringIO(), width=width, color_system=None, force_terminal=False)


def as_text(checked: Checked, console: Console) -> str:
    """The text that `console` would print."""
    with console.capture() as capture:
        console.print(_drawn(checked, console.width), highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _drawn(checked: Checked, width: int) -> RenderableType:
    answer = Text(f"{words.printable(checked.suite)}: {words.answer(checked)}", ANSWER_COLORS[checked.exit_code])
    answer.append(f" (exit code {checked.exit_code}): {words.tally(checked)}.", "default")
    table: list[RenderableType] = [_table(checked, width), Text("")] if checked.rows else []
    with_seed = words.several_seeds(checked)
    said: list[RenderableType] = [part for row in words.not_ok(checked) for part in _said(row, with_seed)]
    notes = [f"Note: {words.printable(note)}" for note in checked.notes]
    last = [*notes, f"{words.compared(checked)}. {words.cost(checked)}", *words.machines(checked)]
    return Group(answer, Text(""), *table, *said, *([Text("")] if said else []), *(Text(line, "dim") for line in last))


def _table(checked: Checked, width: int) -> Table:
    rows = words.in_order(checked)
    drawn = Table(box=None, padding=(0, PADDING, 0, 0), header_style="bold", pad_edge=False)
    columns = _fitting(rows, width, words.several_seeds(checked))
    for column in columns:
        whole = column.heading != "Case"
        drawn.add_column(Text(column.heading), justify="right" if column.is_number else "left", no_wrap=whole,
                         overflow="fold")  # fmt: skip
    for row in rows:
        drawn.add_row(*(Text(column.text(row), _style(column, row)) for column in columns))
    return drawn


def _fitting(rows: list[Row], width: int, with_seed: bool) -> list[Column]:
    """Columns in the order of their rank, while there is room; shown in reading order."""
    kept, left = [], width + PADDING
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        needed = max(len(text) for text in (column.heading, *(column.text(row) for row in rows))) + PADDING
        if column.heading == "Seed" and not with_seed:
            continue
        if column.rank == 0 or needed <= left:
            kept.append(column)
            left -= needed
    return [column for column in COLUMNS if column in kept]


def _style(column: Column, row: Row) -> str:
    return COLORS[row.verdict] if column.heading == "Verdict" else ""


def _said(row: Row, with_seed: bool) -> list[RenderableType]:
    name = Text(f"{row.verdict}: ", COLORS[row.verdict])
    name.append(words.whole_name(row, with_seed), "default")
    return [name, Padding(Text(words.sentence(row)), (0, 0, 0, 4))]
