"""Rows of text files, as columns of strings on disk: TSV, CSV and JSON lines. Knows no task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.files import regular
from kdbench.ragged import Array, Index, Ragged
from kdbench.tasks.row_files import SUFFIXES, Numbered, OddCount, OddRow, rows_of
from kdbench.tasks.rows import portions
from kdbench.tasks.spool import RaggedSpool, Spool

PART_LETTERS = 2**20
"""Letters that are read at once, unless a row has more."""


@dataclass(frozen=True)
class Texts:
    """N texts, mapped from disk."""

    letters: Ragged
    """Their bytes in UTF-8."""

    def __len__(self) -> int:
        return len(self.letters)

    def __getitem__(self, place: int) -> str:
        return bytes(self.letters[place]).decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return self.at(np.arange(len(self)))

    def at(self, places: Index) -> Iterator[str]:
        """Some of the texts, one after another."""
        return (self[int(place)] for place in places)


@dataclass(frozen=True)
class TextRows:
    """N rows of a file."""

    place: Path
    lines: Index
    """(N,), for messages."""
    names: tuple[str, ...]
    """Every column that the file has."""
    columns: dict[str, Texts]
    """Those that were asked for."""

    @property
    def count(self) -> int:
        return len(self.lines)

    def column(self, name: str, why: str) -> Texts:
        """Raises DataError where there is no such column."""
        if name not in self.columns:
            raise DataError(f"'{self.place}' has no column '{name}', which {why}. {nearest(name, self.names)}")
        return self.columns[name]

    def labels(self, name: str, why: str) -> Array:
        """A column of few words as an array (N,) in memory. Raises DataError where there is no such column."""
        return np.array(list(self.column(name, why)))


def read_rows(place: Path, scratch: Path, wanted: Collection[str], columns: Sequence[str] = ()) -> TextRows:
    """The rows of a file by its suffix: .tsv (quotes are letters), .csv (RFC 4180), .jsonl or .json (an object a line).

    scratch: a folder for what does not fit into memory; wanted: the columns that are kept; columns: all of them by
    name, of a file without a header. Raises DataError with the line.
    """
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"'{place}' ends in none of {', '.join(SUFFIXES)}; rename it as what it is.")
    try:
        with open(regular(place), encoding="utf-8-sig", newline="") as file:
            return _kept(place, scratch, wanted, rows_of(file, suffix, columns))
    except OSError as error:
        raise DataError(f"cannot read '{place}' ({error.strerror}); name a file of texts.") from None
    except UnicodeDecodeError:
        raise DataError(f"'{place}' is not UTF-8 text; save it as UTF-8.") from None
    except OddRow as error:
        remedy = " Where the file has no header, say `columns`." if isinstance(error, OddCount) else ""
        raise DataError(f"'{place}':{error.line}: {error}{remedy}") from None


def _kept(place: Path, scratch: Path, wanted: Collection[str], rows: Numbered) -> TextRows:
    first = next(rows, None)
    if first is None:
        raise DataError(f"'{place}' has no rows.")
    names, every = tuple(first[1]), chain([first], rows)
    with ExitStack() as stack:
        kept = {name: stack.enter_context(RaggedSpool(scratch, np.uint8)) for name in names if name in wanted}
        lines = stack.enter_context(Spool(scratch, np.int64))
        for part in portions(every, lambda row: sum(map(len, row[1].values())), PART_LETTERS):
            for line, row in part:
                if missing := [name for name in names if name not in row]:
                    raise DataError(f"'{place}':{line}: there is no '{missing[0]}', which the first row has.")
            lines.add(np.array([line for line, _ in part]))
            for name, spool in kept.items():
                spool.add([_letters(row[name]) for _, row in part])
        columns = {name: Texts(spool.mapped()) for name, spool in kept.items()}
        return TextRows(place, lines.mapped(), names, columns)


def _letters(text: str) -> Array:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
