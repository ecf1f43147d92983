"""The decision table as GitHub's Markdown, at most eight columns, so that a README or a pull request can hold it."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from kdbench.evidence import Evidence
from kdbench.render.tables.cells import Column, Table
from kdbench.render.tables.compression import compression_tables
from kdbench.render.tables.execution import execution_tables
from kdbench.render.tables.latency_columns import AT_A_SETTING
from kdbench.render.tables.table import build_table
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.tables.throughput import throughput_tables
from kdbench.render.words.sentences import sentences
from kdbench.units import mark

MOST_COLUMNS = 8


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
    return _target_tables(evidence, "compression", compression_tables(evidence))


def execution_markdown(evidence: Evidence) -> str:
    """What ran where, one table a target; empty where nothing says so."""
    return _target_tables(evidence, "what ran where", execution_tables(evidence))


def throughput_markdown(evidence: Evidence) -> str:
    """Batch sizes and threads, one table a provider; empty where none was measured at several."""
    return _target_tables(evidence, "batch sizes and threads", throughput_tables(evidence))


def _target_tables(evidence: Evidence, heading: str, found: Sequence[TargetTable]) -> str:
    parts = [f"# {escaped(evidence.results.plan.suite)}: {heading}"] if found else []
    for one, after in zip_longest(found, found[1:]):
        said = "\n".join(f"- {_sentence(sentence.text)}" for sentence in one.sentences)
        parts += [f"On {escaped(one.place)}", said, _rows(one.table), _notes(one.table)]
        if after is None or after.table.legend != one.table.legend:
            parts.append(_legend(one.table))
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
    group = column.group if column.key in AT_A_SETTING else ""
    unit = f"({column.unit})" if column.unit else ""
    return " ".join(part for part in (column.title, unit, group) if part)


def _cell(column: Column, place: int) -> str:
    cell = column.cells[place]
    letters = f" <sup>{cell.letters.strip()}</sup>" if cell.letters.strip() else ""
    text = f"**{escaped(cell.text.strip())}**" if cell.stands_out else escaped(cell.text.strip())
    return f"{text}{letters}{' ' + cell.marks if cell.notes else ''}"


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
