"""record.jsonl, what a bundle's run brings home: a header, one line a finished step, an end; it knows no runtime."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from kdbench.errors import RecordError
from kdbench.files import regular

SCHEMA = 2
SAME = ("schema", "kind", "bundle", "device", "target", "session", "measure", "fingerprint")
"""Fields of a header that must agree for a run to go on where another stopped."""

Line = dict[str, Any]


class Recorded:
    """A record as far as it was written."""

    def __init__(self, header: Line, steps: dict[str, Line], finished: bool) -> None:
        self.header = header
        self.steps = steps
        """Name -> `answer`, or the sentence `error`."""
        self.finished = finished


def read_record(path: Path) -> Recorded:
    """A record; a last line that an interruption tore is left out.

    Raises RecordError with the line where it is none, was changed after it was written, or is of another version.
    """
    try:
        data = regular(path).read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path} ({error.strerror}).") from None
    whole = data[: data.rfind(b"\n") + 1]
    lines = [_line(path, number, text) for number, text in enumerate(whole.splitlines(), start=1)]
    if not lines or lines[0].get("kind") != "device":
        raise RecordError(f"{path}:1: no record of a device begins here; give what a bundle wrote with --out.")
    if lines[0].get("schema") != SCHEMA:
        raise RecordError(
            f"{path}:1: this record has schema {lines[0].get('schema')!r}, this kdbench reads schema {SCHEMA}; "
            "make the bundle and merge its record with one kdbench."
        )
    finished = lines[-1].get("kind") == "end"
    steps = lines[1:-1] if finished else lines[1:]
    for number, line in enumerate(steps, start=2):
        if line.get("kind") != "step" or not isinstance(line.get("step"), str):
            raise RecordError(f"{path}:{number}: this line is damaged: it is no step of a run.")
    if finished and lines[-1].get("sha256") != _digest_before_end(whole):
        raise RecordError(f"{path}: this record was changed after it was written; copy it from the device again.")
    return Recorded(lines[0], {line["step"]: line for line in steps}, finished)


def _line(path: Path, number: int, text: bytes) -> Line:
    try:
        line = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}:{number}: this line is damaged ({error}); copy the record again.") from None
    if not isinstance(line, dict):
        raise RecordError(f"{path}:{number}: this line is damaged: it is no JSON object; copy the record again.")
    return line


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _digest_before_end(whole: bytes) -> str:
    return hashlib.sha256(whole[: whole[:-1].rfind(b"\n") + 1]).hexdigest()


class RecordFile:
    """A record being written: what is finished is on the disk, and the same run goes on from there."""

    def __init__(self, path: Path, header: Line) -> None:
        """Begin a record, or go on with one of the same bundle, device and settings.

        Raises RecordError where there is something else, or nothing can be written there.
        """
        self.path = path
        self.steps: dict[str, Line] = {}
        self.finished = False
        if path.exists() and path.stat().st_size:
            self._go_on(header)
        else:
            self._append(header)

    def _go_on(self, header: Line) -> None:
        found = read_record(self.path)
        other = [name for name in SAME if found.header.get(name) != header[name]]
        if other:
            raise RecordError(
                f"{self.path} holds a run of another {', '.join(other)}; remove it or name another file with --out."
            )
        self.steps, self.finished = found.steps, found.finished
        try:
            with open(self.path, "r+b") as file:  # cut off what an interruption tore
                file.truncate(file.read().rfind(b"\n") + 1)
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, step: str, content: Line) -> None:
        """Append one finished step."""
        line = {"kind": "step", "step": step, **content}
        self._append(line)
        self.steps[step] = line

    def end(self) -> None:
        """Say that the run is whole, and what the file held then."""
        self._append({"kind": "end", "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest()})
        self.finished = True

    def _append(self, line: Line) -> None:
        text = json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n"
        try:
            with open(self.path, "ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> RecordError:
        return RecordError(f"cannot write {self.path} ({error.strerror}); name another file with --out.")
