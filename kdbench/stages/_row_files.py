"""Arrays on disk that are filled a few rows at a time, and go on where a killed stage left them."""

import io
import os
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.files import write_whole
from kdbench.ragged import Array, Ragged
from kdbench.stages.names import CHECKPOINT

HEADER_BYTES = 128
"""Room for an .npy file's header. It is written last, as only then the shape is known; numpy's own take as much."""


class _Unfinished:
    """An .npy file without its header. It bears a checkpoint's name until it is whole."""

    def __init__(self, path: Path, dtype: np.dtype, row_shape: tuple[int, ...]) -> None:
        self._path, self._dtype, self._row_shape = path, dtype, row_shape
        self._row_bytes = prod(row_shape) * dtype.itemsize
        self._unfinished = unfinished(path)
        self._unfinished.touch()

    def write(self, pieces: Iterable[tuple[int, Array]]) -> None:
        """Put rows at places from a start on. Raises OSError on a full disk, as no map is written to."""
        with open(self._unfinished, "r+b") as file:
            for start, rows in pieces:
                file.seek(HEADER_BYTES + start * self._row_bytes)
                file.write(np.ascontiguousarray(rows, self._dtype).tobytes())

    def flush(self) -> None:
        """Have what was written on the disk."""
        with open(self._unfinished, "rb") as file:
            os.fsync(file.fileno())

    def end(self, leading: tuple[int, ...]) -> None:
        """Write the header of an array (*leading, *row shape), and give the file its name."""
        header = io.BytesIO()
        described: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(header, described | {"shape": (*leading, *self._row_shape)})
        content = header.getvalue()
        if len(content) != HEADER_BYTES:
            raise ValueError(f"an .npy header of {len(content)} bytes in place of {HEADER_BYTES}")
        with open(self._unfinished, "r+b") as file:
            file.write(content)
            file.truncate(HEADER_BYTES + prod(leading) * self._row_bytes)
        os.replace(self._unfinished, self._path)


def unfinished(path: Path) -> Path:
    """Where rows are written before the array at `path` is whole."""
    return path.with_name(f"{CHECKPOINT}{path.name}")


class FixedRows:
    """Rows of one shape, written in any order."""

    def __init__(self, path: Path, first: Array) -> None:
        """first: some rows (m, ...), of which only the shape and the type are taken."""
        self._file = _Unfinished(path, first.dtype, first.shape[1:])
        self.flush = self._file.flush

    def put(self, places: Array, rows: Array) -> None:
        """Write rows at places, which rise."""
        runs = np.flatnonzero(np.diff(places, prepend=places[0] - 2) != 1)
        ends = [*runs[1:], len(places)]
        self._file.write((int(places[start]), rows[start:end]) for start, end in zip(runs, ends, strict=True))

    def end(self, count: int) -> None:
        """Make the file whole, an array of `count` rows."""
        self._file.end((count,))


class VaryingRows:
    """Rows of unequal length, written in their order end to end, and their offsets beside them."""

    def __init__(self, path: Path, first: Array, done: int) -> None:
        """first: some rows (m,) of arrays (length, ...); done: how many rows a killed stage had written."""
        self._path = path
        self._file = _Unfinished(path, first[0].dtype, first[0].shape[1:])
        self._kept = path.with_name(f"{CHECKPOINT}{path.stem}-lengths.npy")
        self._lengths: list[int] = np.load(self._kept)[:done].tolist() if done else []
        self._end = sum(self._lengths)

    def put(self, places: Array, rows: Array) -> None:
        """Write rows (m,) of arrays (length, ...) behind those that are there."""
        assert places[0] == len(self._lengths), "rows of unequal length come in order"
        together = np.concatenate(rows.tolist())
        self._file.write([(self._end, together)])
        self._lengths += map(len, rows)
        self._end += len(together)

    def flush(self) -> None:
        """Have what was written on the disk."""
        self._file.flush()
        save_whole(self._kept, np.array(self._lengths, np.int64))

    def end(self, count: int) -> None:
        """Make the file whole: one array where all lengths are equal, else values with offsets beside them."""
        if len(set(self._lengths)) == 1:
            self._file.end((count, self._lengths[0]))
        else:
            self._file.end((self._end,))
            Ragged.save_offsets(self._path, np.cumsum([0, *self._lengths]).astype(np.int64))
        self._kept.unlink(missing_ok=True)


def save_whole(path: Path, array: Array) -> None:
    """`numpy.save`, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array)
    write_whole(path, content.getvalue())
