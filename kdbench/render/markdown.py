"""The decision table as GitHub's Markdown, at most eight columns, so that a README or a pull request can hold it."""

import re

from kdbench.evidence import Evidence
from kdbench.render.cells import Column, Table
from kdbench.render.compression import compression_tables
from kdbench.render.sentences import sentences
from kdbench.render.table import build_table
from kdbench.units import mark

MOST_COLUMNS = 8
GROUPED = ("p50", "speedup", "speedup_teacher", "int8")
"""Columns whose heading says the setting they were measured at."""


def markdown(evidence: Evidence) -> str:
    """Heading, answer, table, footnotes; details that few ask for are folded."""
    table = build_table(evidence)
    table = table.only(table.best_ranked(MOST_COLUMNS))
    plan = evidence.results.plan
    answer = "\n".join(f"- {_sentence(sentence.text)}" for sentence in sentences(evidence))
    parts = [f"# {escaped(plan.suite)}", escaped(plan.about), answer, _rows(table), _notes(table), _legend(table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def compression_markdown(evidence: Evidence) -> str:
    """The tables of compression, one a target; empty where nothing is compressed."""
    found = compression_tables(evidence)
    parts = [f"# {escaped(evidence.results.plan.suite)}: compression"] if found else []
    for one in found:
        said = "\n".join(f"- {_sentence(sentence.text)}" for sentence in one.sentences)
        parts += [f"On {escaped(one.place)}", said, _rows(one.table), _notes(one.table), _legend(one.table)]
    return "\n\n".join(part for part in parts if part) + "\n" if parts else ""


def _sentence(text: str) -> str:
    """Names stay in their backticks, where nothing needs escaping."""
    pieces = text.split("`")
    return "".join(f"`{piece}`" if place % 2 else _literal(piece) for place, piece in enumerate(pieces))


def _rows(table: Table) -> str:
    heading = "| " + " | ".join(escaped(_heading(column)) for column in table.columns) + " |"
    rule = "|" + "|".join(":---" if column.key == "case" else "---:" for column in table.columns) + "|"
    rows = [
        "| " + " | ".join(_cell(column, place) for column in table.columns) + " |" for place in range(len(table.rows))
    ]
    return "\n".join([heading, rule, *rows])


def _heading(column: Column) -> str:
    group = column.group if column.key in GROUPED else ""
    unit = f"({column.unit})" if column.unit else ""
    return " ".join(part for part in (column.title, unit, group) if part)


def _cell(column: Column, place: int) -> str:
    cell = column.cells[place]
    letters = f" <sup>{cell.letters.strip()}</sup>" if cell.letters.strip() else ""
    return f"{escaped(cell.text.strip())}{letters}{' ' + cell.marks if cell.notes else ''}"


def _notes(table: Table) -> str:
    return "  \n".join(f"{mark(place)} {escaped(note)}" for place, note in enumerate(table.footnotes, start=1))


def _legend(table: Table) -> str:
    sentences = "\n".join(f"- {escaped(sentence)}" for sentence in table.legend)
    return f"<details><summary>How to read it</summary>\n\n{sentences}\n\n</details>"


def escaped(text: str) -> str:
    """Text that Markdown and HTML take as text, on one line."""
    return _literal(" ".join(text.split()))


def _literal(text: str) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", safe)
