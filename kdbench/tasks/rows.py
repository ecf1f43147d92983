"""Examples that may be larger than memory: they are brought there a piece at a time. Knows numpy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdbench.ragged import Array, Index, Ragged, Stored

PIECE_BYTES = 4 * 2**20
"""The most that a piece takes in memory, unless a single row takes more."""
Item = TypeVar("Item")
Convert = Callable[[Array], Array]
"""What a piece becomes, row by row, as it is written."""


def _as_they_are(piece: Array) -> Array:
    return piece


@dataclass(frozen=True)
class Rows:
    """Rows `places` (N,) of an array, in that order; the array is held in memory or mapped from a file."""

    array: Array
    places: Index
    convert: Convert = _as_they_are

    @classmethod
    def of(cls, array: Array | Rows) -> Rows:
        """Every row of an array in its order."""
        return array if isinstance(array, Rows) else cls(array, np.arange(len(array)))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Index) -> Rows:
        return Rows(self.array, self.places[index], self.convert)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return (len(self), *self.convert(self.array[:0]).shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """What the rows are written as."""
        return self.convert(self.array[:0]).dtype

    def pieces(self) -> Iterator[Array]:
        """The rows in order, in arrays of at most PIECE_BYTES before they are converted."""
        count = rows_in_piece(self.array.shape[1:], self.array.dtype)
        for start in range(0, len(self), count):
            yield self.convert(self.array[self.places[start : start + count]])

    def save(self, path: Path) -> None:
        """Write the bytes that `numpy.save` writes of the rows. A full disk raises OSError, as no map is written to."""
        save_end_to_end(path, self.shape, self.dtype, self.pieces())


@dataclass(frozen=True)
class RaggedRows:
    """Examples `places` (N,) of unequal length, in that order; their values are held in memory or mapped."""

    ragged: Ragged
    places: Index
    convert: Convert = _as_they_are

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of an example's other axes."""
        return self.convert(self.ragged.values[:0]).shape[1:]

    @property
    def lengths(self) -> Index:
        """(N,)."""
        return self.ragged.lengths[self.places]

    def pieces(self) -> Iterator[Array]:
        """The values end to end, in arrays of about PIECE_BYTES before they are converted."""
        values, ends = self.ragged.values, np.cumsum(self.lengths)
        part_of = ends // rows_in_piece(values.shape[1:], values.dtype)
        for part in np.split(self.places, np.flatnonzero(np.diff(part_of)) + 1):
            yield self.convert(np.concatenate([self.ragged[place] for place in part] or [values[:0]]))

    def save(self, path: Path) -> None:
        """Write what `Ragged.save` writes of the examples."""
        offsets = np.cumsum([0, *self.lengths]).astype(np.int64)
        dtype = self.convert(self.ragged.values[:0]).dtype
        save_end_to_end(path, (int(offsets[-1]), *self.shape), dtype, self.pieces())
        Ragged.save_offsets(path, offsets)


@dataclass(frozen=True)
class MadeRows:
    """Rows that are made as they are written."""

    shape: tuple[int, ...]
    """(N, ...)."""
    dtype: np.dtype
    make: Callable[[Index], Array]
    """The rows at some places (n,), (n, ...)."""

    def __len__(self) -> int:
        return self.shape[0]

    def pieces(self) -> Iterator[Array]:
        """The rows in order, in arrays of at most PIECE_BYTES."""
        count = rows_in_piece(self.shape[1:], self.dtype)
        for start in range(0, len(self), count):
            yield self.make(np.arange(start, min(start + count, len(self)))).astype(self.dtype, copy=False)

    def save(self, path: Path) -> None:
        """Write the bytes that `numpy.save` writes of the rows."""
        save_end_to_end(path, self.shape, self.dtype, self.pieces())


def taken(stored: Stored, places: Index, convert: Convert = _as_they_are) -> Rows | RaggedRows:
    """Some of the examples; none is brought to memory yet."""
    return RaggedRows(stored, places, convert) if isinstance(stored, Ragged) else Rows(stored, places, convert)


def portions(items: Iterable[Item], weight: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Items in order, in lists that weigh `most` together or little more."""
    portion, total = list[Item](), 0
    for item in items:
        portion.append(item)
        total += weight(item)
        if total >= most:
            yield portion
            portion, total = [], 0
    if portion:
        yield portion


def pieces_of(array: Array) -> Iterator[Array]:
    """An array (N, ...) in slices of at most PIECE_BYTES."""
    count = rows_in_piece(array.shape[1:], array.dtype)
    for start in range(0, len(array), count):
        yield array[start : start + count]


def save_end_to_end(path: Path, shape: tuple[int, ...], dtype: np.dtype, pieces: Iterable[Array]) -> None:
    """Write pieces as one array of a shape, in the bytes that `numpy.save` writes. A full disk raises OSError."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece).tobytes())


def rows_in_piece(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """How many rows of a shape are at most PIECE_BYTES; at least one."""
    return max(1, PIECE_BYTES // max(1, prod(shape) * dtype.itemsize))
