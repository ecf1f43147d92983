"""Rows of TSV, CSV and JSON lines files, by column: the standard library alone. predict.py is handed over with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

SUFFIXES = (".tsv", ".csv", ".jsonl", ".json")
"""Tabs (quotes are letters), RFC 4180, and an object a line."""
Numbered = Iterator["tuple[int, dict[str, str]]"]
"""A line's number from 1, and its fields by column."""


class OddRow(Exception):
    """A line that is no row, and a sentence about it."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


class OddCount(OddRow):
    """One that has more or fewer fields than there are columns."""


def rows_of(file: Any, suffix: str, columns: Sequence[str] = ()) -> Numbered:
    """The rows of an open file, by its suffix in small letters; `columns` names them where there is no header.

    Raises OddRow.
    """
    if suffix in (".jsonl", ".json"):
        return _json_lines(file)
    return (_tab_separated if suffix == ".tsv" else _comma_separated)(file, list(columns))


def _tab_separated(file: Any, columns: list[str]) -> Numbered:
    return _with_header(((n, line.rstrip("\r\n").split("\t")) for n, line in enumerate(file, start=1)), columns)


def _comma_separated(file: Any, columns: list[str]) -> Numbered:
    reader = csv.reader(file, strict=True)
    try:
        yield from _with_header(((reader.line_num, row) for row in reader), columns)
    except csv.Error as error:
        raise OddRow(reader.line_num, f"{error}; mend the line.") from None


def _with_header(lines: Iterator[tuple[int, list[str]]], header: list[str]) -> Numbered:
    for number, row in lines:
        if row in ([], [""]):
            continue
        if not header:
            header = [name.strip() for name in row]
        elif len(row) != len(header):
            raise OddCount(number, f"{len(row)} fields, and {len(header)} were expected ({', '.join(header)}).")
        else:
            yield number, dict(zip(header, row))


def _json_lines(file: Any) -> Numbered:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise OddRow(number, f"no JSON ({error}); one object a line was expected.") from None
        if not isinstance(row, dict):
            raise OddRow(number, "one object a line was expected.")
        yield number, {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    """A JSON value as it would stand in a table; of a list its texts, parted by |."""
    if isinstance(value, list):
        return "|".join(map(_text, value))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
