"""Arrays that grow on disk while they are read, and are mapped when they are whole. Knows numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from kdbench.ragged import Array, Ragged
from kdbench.tasks.rows import pieces_of


class Spool:
    """Rows of one shape in a file that has no name and is gone with what maps it."""

    def __init__(self, folder: Path, dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        """folder: where the file lies; a disk has more room than memory."""
        self._dtype, self._row_shape = np.dtype(dtype), row_shape
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, rows: Array | Sequence[Array]) -> None:
        """Put rows (n, ...) behind those that are there."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.count += len(rows)

    def mapped(self) -> Array:
        """All rows (N, ...), to be read only; they stay when the spool is closed."""
        self._file.flush()
        if not self.count:  # an empty file cannot be mapped
            return np.empty((0, *self._row_shape), self._dtype)
        return np.memmap(self._file, self._dtype, "r", shape=(self.count, *self._row_shape))


class RaggedSpool:
    """Examples of unequal length, end to end."""

    def __init__(self, folder: Path, dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._values = Spool(folder, dtype, row_shape)
        self._lengths = Spool(folder, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._values.__exit__(*error)
        self._lengths.__exit__(*error)

    def add(self, examples: Sequence[Array]) -> None:
        """Put some examples, each (length, ...), behind those that are there."""
        if len(examples):
            self._values.add(np.concatenate(examples))
            self._lengths.add(np.array([len(example) for example in examples]))

    def mapped(self) -> Ragged:
        """All examples, to be read only."""
        offsets = np.concatenate([[0], np.cumsum(self._lengths.mapped())]).astype(np.int64)
        return Ragged(self._values.mapped(), offsets)


def converted(array: Array, dtype: DTypeLike, folder: Path) -> Array:
    """An array in another type; itself where it has that type already."""
    if array.dtype == dtype:
        return array
    return spooled(folder, dtype, array.shape[1:], (piece.astype(dtype) for piece in pieces_of(array)))


def spooled(folder: Path, dtype: DTypeLike, row_shape: tuple[int, ...], pieces: Iterable[Array]) -> Array:
    """Pieces (n, ...) as one mapped array."""
    with Spool(folder, dtype, row_shape) as spool:
        for piece in pieces:
            spool.add(piece)
        return spool.mapped()
