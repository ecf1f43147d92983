"""Columns of a table and the rows that are looked at: numbers, or numbered texts, held in memory or mapped."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.ragged import Array, Index

COMMA = re.compile(r"\s*[-+]?[0-9]+,[0-9]+\s*")
"""A number with a decimal comma."""


@dataclass(frozen=True)
class Column:
    """One column of N rows: numbers where every value is one, else texts."""

    numbers: Array | None = None
    """float64 (N,), NaN where a value is missing."""
    codes: Array | None = None
    """int32 (N,), places in `texts`; of a column that is not of numbers."""
    texts: tuple[str, ...] = ()
    """Different texts, which some rows that are not looked at may have; "" stands where a value is missing."""

    @classmethod
    def of_texts(cls, values: Sequence[str], missing: Collection[str]) -> Column:
        """Texts, and the numbers that they say where all of them do; `missing` is how a missing value is written."""
        return cls._of([given_text(value, missing) for value in values], may_be_numbers=True)

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Column:
        """Python's values, None where one is missing; truth values are texts."""
        return cls._of([text_of(value) for value in values], are_numbers(values))

    @classmethod
    def _of(cls, texts: Sequence[str], may_be_numbers: bool) -> Column:
        numbers = numbers_of(texts) if may_be_numbers else None
        if numbers is not None and not np.isnan(numbers).all():
            return cls(numbers)
        known: dict[str, int] = {}
        return cls(codes=coded(texts, known), texts=tuple(known))

    @property
    def count(self) -> int:
        """N."""
        return len(self._stored)

    @property
    def _stored(self) -> Array:
        stored = self.numbers if self.codes is None else self.codes
        assert stored is not None, "a column is of numbers or of texts"
        return stored

    def taken(self, places: Index) -> Column:
        """Some of the rows, in memory."""
        stored = self._stored[places]
        return replace(self, numbers=stored) if self.codes is None else replace(self, codes=stored)

    @property
    def missing(self) -> Array:
        """bool (N,): where there is no value."""
        if self.codes is None:
            return np.isnan(self._stored)
        return np.array([text == "" for text in self.texts], bool)[self.codes]

    def different(self) -> list[str]:
        """The values that its rows have, each once, as names: 1 and 1.0 are one; "" where one is missing."""
        found = np.unique(self._stored)
        return [self.texts[code] for code in found] if self.codes is not None else [_name(float(one)) for one in found]

    def numbered(self, numbers: Mapping[str, int], other: int) -> Index:
        """(N,): the number of each row's value by its name, `other` for values that have none."""
        if self.codes is not None:
            return np.array([numbers.get(text, other) for text in self.texts], np.int64)[self.codes]
        found, inverse = np.unique(self._stored, return_inverse=True)
        return np.array([numbers.get(_name(float(one)), other) for one in found], np.int64)[inverse]

    @property
    def labels(self) -> Array:
        """(N,) of str: every row's value as a name."""
        names = self.different()
        return np.array(names)[self.numbered({name: place for place, name in enumerate(names)}, 0)]

    def ordered(self) -> Index:
        """(N,): the place of each row's name among all names in their order; equal ones where values are equal."""
        return self.numbered({name: place for place, name in enumerate(sorted(self.different()))}, 0)

    def odd(self) -> tuple[int, str]:
        """How many rows hold a text that is no number, and the first such text; of a column of texts."""
        assert self.codes is not None
        is_odd = np.array([bool(text) and numbers_of([text]) is None for text in self.texts], bool)
        rows = is_odd[self.codes]
        return int(rows.sum()), self.texts[self.codes[rows.argmax()]] if rows.any() else ""

    def has_commas(self) -> bool:
        """Whether the column would be numbers if its commas were points."""
        given = [text for text in self.different() if text]
        return self.codes is not None and bool(given) and all(COMMA.fullmatch(text) for text in given)


def given_text(value: str, missing: Collection[str]) -> str:
    """A field of a file without spaces around it, "" where it stands for no value."""
    text = value.strip()
    return "" if text in missing else text


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether Python's values are numbers or missing."""
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def text_of(value: Any) -> str:
    """One of Python's values as a name; whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _name(number: float) -> str:
    return "" if np.isnan(number) else text_of(number)


def numbers_of(texts: Sequence[str]) -> Array | None:
    """The numbers that texts say, float64 (n,), NaN for empty ones; None where one is no number."""
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
    return found


def coded(texts: Iterable[str], known: dict[str, int]) -> Array:
    """int32 (n,): the place of each text among those that are known; new ones are put behind them."""
    return np.array([known.setdefault(text, len(known)) for text in texts], np.int32)


@dataclass(frozen=True)
class Table:
    """N rows; `place` is what messages call it."""

    place: str
    columns: Mapping[str, Column]
    """Every row of what was read."""
    places: Index | None = None
    """Those that the table has, in that order; None for all."""

    @property
    def count(self) -> int:
        """N."""
        return next(iter(self.columns.values())).count if self.places is None else len(self.places)

    def column(self, name: str, why: str = "the table has") -> Column:
        """The rows of one column. Raises DataError where there is no such column."""
        if name not in self.columns:
            raise DataError(f"{self.place} has no column '{name}', which {why}. {nearest(name, self.columns)}")
        return self.columns[name] if self.places is None else self.columns[name].taken(self.places)

    def taken(self, places: Index) -> Table:
        """Some of the rows; none is brought to memory yet."""
        return replace(self, places=places if self.places is None else self.places[places])

    def error(self, name: str, text: str) -> DataError:
        """A sentence about one column."""
        return DataError(f"{self.place}: column '{name}' {text}")
