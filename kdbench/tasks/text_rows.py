"""Rows of text files, as columns of strings: TSV, CSV and JSON lines. Knows no task."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from kdbench.errors import DataError, nearest
from kdbench.files import regular

Numbered = tuple[int, dict[str, str]]
"""A line's number from 1, and its fields by column."""


@dataclass(frozen=True)
class TextRows:
    """N rows of a file."""

    place: Path
    lines: tuple[int, ...]
    """(N,), for messages."""
    columns: dict[str, tuple[str, ...]]

    @property
    def count(self) -> int:
        return len(self.lines)

    def column(self, name: str, why: str) -> tuple[str, ...]:
        """Raises DataError where there is no such column."""
        if name not in self.columns:
            raise DataError(f"'{self.place}' has no column '{name}', which {why}. {nearest(name, self.columns)}")
        return self.columns[name]


def read_rows(place: Path, columns: Sequence[str] = ()) -> TextRows:
    """The rows of a file by its suffix: .tsv (quotes are letters), .csv (RFC 4180), .jsonl or .json (an object a line).

    columns: their names, of a file without a header. Raises DataError with the line.
    """
    reading = {".tsv": _tab_separated, ".csv": _comma_separated, ".jsonl": _json_lines, ".json": _json_lines}
    read = reading.get(place.suffix.lower())
    if read is None:
        raise DataError(f"'{place}' ends in none of {', '.join(reading)}; rename it as what it is.")
    try:
        with open(regular(place), encoding="utf-8-sig", newline="") as file:
            rows = list(read(file, place, columns))
    except OSError as error:
        raise DataError(f"cannot read '{place}' ({error.strerror}); name a file of texts.") from None
    except UnicodeDecodeError:
        raise DataError(f"'{place}' is not UTF-8 text; save it as UTF-8.") from None
    if not rows:
        raise DataError(f"'{place}' has no rows.")
    names = list(rows[0][1])
    for line, row in rows:
        if missing := [name for name in names if name not in row]:
            raise DataError(f"'{place}':{line}: there is no '{missing[0]}', which the first row has.")
    return TextRows(
        place, tuple(line for line, _ in rows), {name: tuple(row[name] for _, row in rows) for name in names}
    )


def _tab_separated(file: TextIO, place: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    lines = ((number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(file, start=1))
    return _with_header(lines, place, columns)


def _comma_separated(file: TextIO, place: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    reader = csv.reader(file, strict=True)
    try:
        yield from _with_header(((reader.line_num, row) for row in reader), place, columns)
    except csv.Error as error:
        raise DataError(f"'{place}':{reader.line_num}: {error}; mend the line.") from None


def _with_header(lines: Iterator[tuple[int, list[str]]], place: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    header = list(columns)
    for number, row in lines:
        if row in ([], [""]):
            continue
        if not header:
            header = [name.strip() for name in row]
            continue
        if len(row) != len(header):
            raise DataError(
                f"'{place}':{number}: {len(row)} fields, and {len(header)} were expected ({', '.join(header)}). Where "
                "the file has no header, say `columns`."
            )
        yield number, dict(zip(header, row, strict=True))


def _json_lines(file: TextIO, place: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"'{place}':{number}: no JSON ({error}); one object a line was expected.") from None
        if not isinstance(row, dict):
            raise DataError(f"'{place}':{number}: one object a line was expected.")
        yield number, {name: _text(value) for name, value in row.items()}


def _text(value: object) -> str:
    """A JSON value as it would stand in a table; of a list its texts, parted by |."""
    if isinstance(value, list):
        return "|".join(map(_text, value))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
