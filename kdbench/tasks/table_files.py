"""Tables of CSV and Parquet files, as columns on disk: read in parts of some thousand rows. Knows no task."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdbench.errors import DataError
from kdbench.files import regular
from kdbench.ragged import Array
from kdbench.tasks.rows import portions
from kdbench.tasks.spool import Spool
from kdbench.tasks.table_columns import Column, Table, are_numbers, coded, given_text, numbers_of, text_of

PARQUET = (".parquet", ".pq")
ARROW_NUMBERS = {*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float", "double"}
"""Arrow's names of the types whose columns are numbers as they are."""
PART_FIELDS = 2**16
"""Fields that are read at once, unless a row has more."""


class Some(NamedTuple):
    """Some rows of one column, to be read in one way or the other."""

    texts: Callable[[], list[str]]
    """"" where a value is missing."""
    numbers: Callable[[], Array | None]
    """float64 (n,), NaN where a value is missing; None where some are no numbers."""


Parts = Callable[[], Iterator[dict[str, Some]]]
"""Goes through a file once more: some rows at a time, by column."""


def read_table(place: Path, separator: str, missing: Collection[str], scratch: Path) -> Table:
    """Raises DataError where the file is no table, with the line.

    scratch: a folder for the columns; in memory there are a few thousand rows, and the different texts of each column.
    """
    reads = _parquet(place, missing) if place.suffix.lower() in PARQUET else _csv(place, separator, missing)
    columns = _columns(reads, scratch)
    if not columns or next(iter(columns.values())).count == 0:
        raise DataError(f"'{place}' has no rows.")
    return Table(f"'{place}'", columns)


def _columns(parts: Parts, scratch: Path) -> dict[str, Column]:
    """The columns in the file's order; those that turn out to hold more than numbers are read again as texts."""
    numbers = _numbers(parts, scratch)
    texts = _coded(parts, scratch, [name for name, found in numbers.items() if found is None])
    return {name: texts[name] if found is None else found for name, found in numbers.items()}


def _numbers(parts: Parts, scratch: Path) -> dict[str, Column | None]:
    """Each column of numbers; None for one of texts, or without any value."""
    with ExitStack() as stack:
        spools: dict[str, Spool | None] = {}
        for part in parts():
            for name, some in part.items():
                if name not in spools:
                    spools[name] = stack.enter_context(Spool(scratch, np.float64))
                spool = spools[name]
                found = None if spool is None else some.numbers()
                if spool is None or found is None:
                    spools[name] = None
                else:
                    spool.add(found)
        mapped = {name: None if spool is None else spool.mapped() for name, spool in spools.items()}
    return {name: None if array is None or np.isnan(array).all() else Column(array) for name, array in mapped.items()}


def _coded(parts: Parts, scratch: Path, names: Collection[str]) -> dict[str, Column]:
    """Columns of texts, by name."""
    if not names:
        return {}
    known: dict[str, dict[str, int]] = {name: {} for name in names}
    with ExitStack() as stack:
        spools = {name: stack.enter_context(Spool(scratch, np.int32)) for name in names}
        for part in parts():
            for name, spool in spools.items():
                spool.add(coded(part[name].texts(), known[name]))
        return {name: Column(codes=spool.mapped(), texts=tuple(known[name])) for name, spool in spools.items()}


def _csv(place: Path, separator: str, missing: Collection[str]) -> Parts:
    def parts() -> Iterator[dict[str, Some]]:
        try:
            with open(regular(place), encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=separator, strict=True)
                header = next(reader, [])
                _check_header(place, header, separator)
                rows = _full_rows(place, reader, len(header))
                for portion in portions(rows, len, PART_FIELDS):
                    columns = zip(header, zip(*portion, strict=True), strict=True)
                    yield {name: _of_fields(values, missing) for name, values in columns}
        except OSError as error:
            raise DataError(f"cannot read '{place}' ({error.strerror}); name a CSV or Parquet file.") from None
        except UnicodeDecodeError:
            raise DataError(f"'{place}' is not UTF-8 text; save it as UTF-8.") from None
        except csv.Error as error:
            raise DataError(f"'{place}':{reader.line_num}: {error}; mend the line.") from None

    return parts


def _full_rows(place: Path, reader: Any, field_count: int) -> Iterator[list[str]]:
    """The rows that are not empty. Raises DataError where one has more or fewer fields than the header."""
    for row in reader:
        if row and len(row) != field_count:
            raise DataError(f"'{place}':{reader.line_num}: {len(row)} fields, and the header has {field_count}.")
        if row:
            yield row


def _check_header(place: Path, header: list[str], separator: str) -> None:
    header[:] = [name.strip() for name in header]
    if len(header) == 1:
        other = next((sign for sign in (",", ";", "\t", "|") if sign != separator and sign in header[0]), None)
        if other:
            raise DataError(f"'{place}' has one column by the separator {separator!r}; say separator: {other!r}.")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"'{place}':1: two columns are called '{twice}'; rename one.")


def _parquet(place: Path, missing: Collection[str]) -> Parts:
    try:
        from pyarrow import parquet
        from pyarrow.lib import ArrowException
    except ImportError:
        raise DataError(
            f"reading '{place}' needs pyarrow; type: pip install 'kdbench[parquet]', or save the table as CSV."
        ) from None

    def parts() -> Iterator[dict[str, Some]]:
        try:
            with parquet.ParquetFile(regular(place)) as file:
                count = max(1, PART_FIELDS // max(1, file.metadata.num_columns))
                for group in range(file.num_row_groups):  # of all groups at once, every one that was read stays
                    for batch in file.iter_batches(count, row_groups=[group]):
                        yield {name: _of_arrow(batch.column(name), missing) for name in batch.schema.names}
        except (OSError, ArrowException) as error:
            raise DataError(
                f"cannot read '{place}' ({str(error).splitlines()[0].rstrip('.')}); name a Parquet file."
            ) from None

    return parts


def _of_fields(values: Sequence[str], missing: Collection[str]) -> Some:
    def texts() -> list[str]:
        return [given_text(value, missing) for value in values]

    return Some(texts, lambda: numbers_of(texts()))


def _of_arrow(column: Any, missing: Collection[str]) -> Some:
    def given() -> list[Any]:
        return [None if value in missing else value for value in column.to_pylist()]

    def texts() -> list[str]:
        return [text_of(value) for value in given()]

    def numbers() -> Array | None:
        if str(column.type) in ARROW_NUMBERS:
            found: Array = column.to_numpy(zero_copy_only=False).astype(np.float64)
            return found
        return numbers_of(texts()) if are_numbers(given()) else None

    return Some(texts, numbers)
