"""Files of records: read whole but for a torn last line, appended to safely."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kdbench.errors import RecordError
from kdbench.results.records._kinds import Record
from kdbench.results.records._lines import from_line, to_line


def read(path: Path) -> list[Record]:
    """Every record of a file; a last line that a kill tore is dropped.

    Raises RecordError with the line's number when any other line cannot be understood.
    """
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(from_line(line.decode()))
        except (RecordError, UnicodeDecodeError) as error:
            if number == len(lines):
                break
            raise RecordError(f"{path}:{number}: {error}") from None
    return records


def append(path: Path, records: Iterable[Record]) -> None:
    """Add records to a file, cutting off a last line that a kill tore."""
    text = "".join(to_line(record) + "\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _mend(file)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _mend(file: Any) -> None:
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
