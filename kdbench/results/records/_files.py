"""Files of records: read line by line, appended to safely after a kill."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from kdbench.errors import NewerRecords, RecordError
from kdbench.files import regular
from kdbench.results.records._labels import Record
from kdbench.results.records._lines import from_line, to_line


def read(path: Path) -> list[Record]:
    """Every record of a file; a last line that a kill tore is dropped.

    Raises RecordError with the line's number when any other line cannot be understood.
    """
    records, bad = scan(path)
    if bad:
        raise RecordError(bad[0])
    return records


def scan(path: Path) -> tuple[list[Record], list[str]]:
    """Every record of a file that can be understood, and a sentence for each line that cannot.

    A last line that a kill tore is dropped without a word. Raises RecordError when the file cannot be read, or is of a
    newer kdbench.
    """
    try:
        lines = regular(path).read_bytes().split(b"\n")
    except OSError as error:
        raise RecordError(f"cannot read '{path}' ({error.strerror}).") from None
    records, bad = [], []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(from_line(line.decode()))
        except NewerRecords as error:
            raise RecordError(f"{path}:{number}: {error}") from None
        except (RecordError, UnicodeDecodeError) as error:
            if number < len(lines):
                bad.append(f"{path}:{number}: {error}")
    return records, bad


def to_lines(records: Iterable[Record]) -> str:
    """Records as the text of a file."""
    return "".join(to_line(record) + "\n" for record in records)


def append(path: Path, records: Iterable[Record]) -> None:
    """Add records to a file, cutting off a last line that a kill tore."""
    append_lines(path, to_lines(records))


def append_lines(path: Path, text: str) -> None:
    """As `append`, with the text of the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _mend(file)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _mend(file: IO[bytes]) -> None:
    """Cut an open file back to its last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    file.truncate(end)
