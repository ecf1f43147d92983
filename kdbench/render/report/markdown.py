"""The decision table as GitHub's Markdown, at most eight columns, so that a README or a pull request can hold it."""

import re
from collections.abc import Sequence

from kdbench.evidence import Evidence
from kdbench.render.tables.cells import Cell, Column, Table, marks_of
from kdbench.render.tables.table import build_table
from kdbench.render.tables.target_table import TargetTables
from kdbench.render.words.sanity_words import cautions
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.sentences import sentences
from kdbench.units import mark

MOST_COLUMNS = 8


def markdown(evidence: Evidence) -> str:
    """Heading, answer, table, footnotes; details that few ask for are folded."""
    table = build_table(evidence)
    table = table.only(table.best_ranked(MOST_COLUMNS))
    plan = evidence.results.plan
    parts = [
        f"# {escaped(plan.suite)}",
        escaped(plan.about),
        _list([*cautions(evidence.findings), *sentences(evidence)]),
        _rows(table, table.footnotes),
        _notes(table.footnotes),
        _legend(table.legend),
    ]
    return _joined(parts)


def tables_markdown(evidence: Evidence, heading: str, found: TargetTables) -> str:
    """The tables of one section, with their notes below them all; empty where there are none."""
    if not found.tables:
        return ""
    parts = [f"# {escaped(evidence.results.plan.suite)}: {heading}"]
    for one in found.tables:
        parts += [f"On {escaped(one.place)}", _list(one.sentences), _rows(one.table, found.footnotes)]
    return _joined([*parts, _notes(found.footnotes), _legend(found.legend)])


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(said: Sequence[Sentence]) -> str:
    return "\n".join(f"- {_sentence(sentence.text)}" for sentence in said)


def _sentence(text: str) -> str:
    """One line. Names stay in their backticks, where nothing needs escaping."""
    pieces = " ".join(text.split()).split("`")
    return "".join(f"`{piece}`" if place % 2 else _literal(piece) for place, piece in enumerate(pieces))


def _rows(table: Table, footnotes: Sequence[str]) -> str:
    heading = "| " + " | ".join(escaped(_heading(column)) for column in table.columns) + " |"
    rule = "|" + "|".join(":---" if column.key == "case" else "---:" for column in table.columns) + "|"
    rows = [
        "| " + " | ".join(_cell(column.cells[place], footnotes) for column in table.columns) + " |"
        for place in range(len(table.rows))
    ]
    return "\n".join([heading, rule, *rows])


def _heading(column: Column) -> str:
    unit = f"({column.unit})" if column.unit else ""
    return " ".join(part for part in (column.title, unit, column.place) if part)


def _cell(cell: Cell, footnotes: Sequence[str]) -> str:
    letters = f" <sup>{cell.letters.strip()}</sup>" if cell.letters.strip() else ""
    text = f"**{escaped(cell.text.strip())}**" if cell.stands_out else escaped(cell.text.strip())
    return f"{text}{letters}{' ' + marks_of(cell, footnotes) if cell.notes else ''}"


def _notes(footnotes: Sequence[str]) -> str:
    return "  \n".join(f"{mark(number)} {escaped(note)}" for number, note in enumerate(footnotes, start=1))


def _legend(legend: Sequence[str]) -> str:
    said = "\n".join(f"- {escaped(sentence)}" for sentence in legend)
    return f"<details><summary>How to read it</summary>\n\n{said}\n\n</details>"


def escaped(text: str) -> str:
    """Text that Markdown and HTML take as text, on one line."""
    return _literal(" ".join(text.split()))


def _literal(text: str) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", safe)
