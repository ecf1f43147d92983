"""Rows of text files, as columns of strings: TSV, CSV and JSON lines. Knows no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import DataError, nearest
from kdbench.files import regular
from kdbench.tasks.row_files import SUFFIXES, OddCount, OddRow, rows_of


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
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"'{place}' ends in none of {', '.join(SUFFIXES)}; rename it as what it is.")
    try:
        with open(regular(place), encoding="utf-8-sig", newline="") as file:
            rows = list(rows_of(file, suffix, columns))
    except OSError as error:
        raise DataError(f"cannot read '{place}' ({error.strerror}); name a file of texts.") from None
    except UnicodeDecodeError:
        raise DataError(f"'{place}' is not UTF-8 text; save it as UTF-8.") from None
    except OddRow as error:
        remedy = " Where the file has no header, say `columns`." if isinstance(error, OddCount) else ""
        raise DataError(f"'{place}':{error.line}: {error}{remedy}") from None
    if not rows:
        raise DataError(f"'{place}' has no rows.")
    names = list(rows[0][1])
    for line, row in rows:
        if missing := [name for name in names if name not in row]:
            raise DataError(f"'{place}':{line}: there is no '{missing[0]}', which the first row has.")
    return TextRows(
        place, tuple(line for line, _ in rows), {name: tuple(row[name] for _, row in rows) for name in names}
    )
