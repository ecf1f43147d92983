"""Tables of CSV and Parquet files, as columns of texts and numbers. Knows no task."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.files import regular
from kdbench.ragged import Array, Index

PARQUET = (".parquet", ".pq")
COMMA = re.compile(r"\s*[-+]?[0-9]+,[0-9]+\s*")
"""A number with a decimal comma."""
FIRST_LINE = 2
"""The line of a CSV's first row, below its header."""


@dataclass(frozen=True)
class Column:
    """One column of N rows."""

    texts: Array
    """(N,) of str, empty where a value is missing."""
    numbers: Array | None
    """float64 (N,), NaN where a value is missing; None where some are no numbers."""

    @classmethod
    def of_texts(cls, values: Sequence[str], missing: Collection[str]) -> Column:
        """Texts, and the numbers that they say where all of them do; `missing` is how a missing value is written."""
        texts = np.array(["" if (text := value.strip()) in missing else text for value in values], object)
        return cls(texts, _numbers(texts))

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Column:
        """Python's values, None where one is missing; truth values are texts."""
        texts = np.array(["" if value is None else _text(value) for value in values], object)
        are_numbers = all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        )
        return cls(texts, _numbers(texts) if are_numbers else None)

    @property
    def labels(self) -> Array:
        """(N,) of str: the values as names, 1 and 1.0 being one; empty where a value is missing."""
        if self.numbers is None:
            return self.texts.astype(str)
        return np.array(["" if np.isnan(value) else _text(float(value)) for value in self.numbers])

    @property
    def missing(self) -> Array:
        """bool (N,): where there is no value."""
        return self.texts == "" if self.numbers is None else np.isnan(self.numbers)

    def taken(self, places: Index) -> Column:
        return Column(self.texts[places], None if self.numbers is None else self.numbers[places])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _numbers(texts: Array) -> Array | None:
    """The numbers that texts say, NaN for empty ones; None where one is no number, or all are empty."""
    found = np.full(len(texts), np.nan)
    for place, text in enumerate(texts):
        if not text:
            continue
        try:
            found[place] = float(text)
        except ValueError:
            return None
        if "_" in text:  # Python reads 1_000 as a number, nobody else does
            return None
    return None if np.isnan(found).all() else found


@dataclass(frozen=True)
class Table:
    """N rows; `place` is what messages call it."""

    place: str
    columns: dict[str, Column]

    @property
    def count(self) -> int:
        return len(next(iter(self.columns.values())).texts)

    def column(self, name: str, why: str) -> Column:
        """Raises DataError where there is no such column."""
        if name not in self.columns:
            raise DataError(f"{self.place} has no column '{name}', which {why}. {nearest(name, self.columns)}")
        return self.columns[name]

    def taken(self, places: Index) -> Table:
        return Table(self.place, {name: column.taken(places) for name, column in self.columns.items()})

    def error(self, name: str, text: str) -> DataError:
        """A sentence about one column."""
        return DataError(f"{self.place}: column '{name}' {text}")


def read_table(place: Path, separator: str, missing: Collection[str]) -> Table:
    """Raises DataError where the file is no table, with the line."""
    columns = _parquet(place, missing) if place.suffix.lower() in PARQUET else _csv(place, separator, missing)
    if not columns or len(next(iter(columns.values())).texts) == 0:
        raise DataError(f"'{place}' has no rows.")
    return Table(f"'{place}'", columns)


def _csv(place: Path, separator: str, missing: Collection[str]) -> dict[str, Column]:
    try:
        with open(regular(place), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = next(reader, [])
            _check_header(place, header, separator)
            rows: list[list[str]] = []
            for row in reader:
                if row and len(row) != len(header):
                    raise DataError(
                        f"'{place}':{reader.line_num}: {len(row)} fields, and the header has {len(header)}."
                    )
                rows += [row] if row else []
    except OSError as error:
        raise DataError(f"cannot read '{place}' ({error.strerror}); name a CSV or Parquet file.") from None
    except UnicodeDecodeError:
        raise DataError(f"'{place}' is not UTF-8 text; save it as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"'{place}':{reader.line_num}: {error}; mend the line.") from None
    return {name: Column.of_texts([row[at] for row in rows], missing) for at, name in enumerate(header)}


def _check_header(place: Path, header: list[str], separator: str) -> None:
    header[:] = [name.strip() for name in header]
    if len(header) == 1:
        other = next((sign for sign in (",", ";", "\t", "|") if sign != separator and sign in header[0]), None)
        if other:
            raise DataError(f"'{place}' has one column by the separator {separator!r}; say separator: {other!r}.")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"'{place}':1: two columns are called '{twice}'; rename one.")


def _parquet(place: Path, missing: Collection[str]) -> dict[str, Column]:
    try:
        from pyarrow import parquet
        from pyarrow.lib import ArrowException
    except ImportError:
        raise DataError(
            f"reading '{place}' needs pyarrow; type: pip install 'kdbench[parquet]', or save the table as CSV."
        ) from None
    try:
        found = parquet.read_table(regular(place)).to_pydict()
    except (OSError, ArrowException) as error:
        raise DataError(
            f"cannot read '{place}' ({str(error).splitlines()[0].rstrip('.')}); name a Parquet file."
        ) from None
    return {
        name: Column.of_values([None if value in missing else value for value in values])
        for name, values in found.items()
    }


def odd_texts(column: Column) -> list[str]:
    """The texts that are no numbers."""
    return [str(text) for text in column.texts if text and _numbers(np.array([text], object)) is None]


def commas(column: Column) -> bool:
    """Whether the column would be numbers if its commas were points."""
    given = [text for text in column.texts if text]
    return column.numbers is None and bool(given) and all(COMMA.fullmatch(text) for text in given)
