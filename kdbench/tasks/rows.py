"""Rows of an array that may be larger than memory: they are brought there a piece at a time. Knows numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from kdbench.ragged import Array, Index

PIECE_BYTES = 4 * 2**20
"""The most that a piece takes in memory, unless a single row takes more."""


@dataclass(frozen=True)
class Rows:
    """Rows `places` (N,) of an array, in that order; the array is held in memory or mapped from a file."""

    array: Array
    places: Index

    @classmethod
    def of(cls, array: Array | Rows) -> Rows:
        """Every row of an array in its order."""
        return array if isinstance(array, Rows) else cls(array, np.arange(len(array)))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Index) -> Rows:
        return Rows(self.array, self.places[index])

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return (len(self), *self.array.shape[1:])

    def pieces(self) -> Iterator[Array]:
        """The rows in order, in arrays of at most PIECE_BYTES."""
        count = rows_in_piece(self.array.shape[1:], self.array.dtype)
        for start in range(0, len(self), count):
            yield self.array[self.places[start : start + count]]

    def save(self, path: Path) -> None:
        """Write the bytes that `numpy.save` writes of the rows. A full disk raises OSError, as no map is written to."""
        save_end_to_end(path, self.shape, self.array.dtype, self.pieces())


def save_end_to_end(path: Path, shape: tuple[int, ...], dtype: np.dtype, pieces: Iterable[Array]) -> None:
    """Write pieces as one array of a shape, in the bytes that `numpy.save` writes. A full disk raises OSError."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece).data)


def rows_in_piece(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """How many rows of a shape are at most PIECE_BYTES; at least one."""
    return max(1, PIECE_BYTES // max(1, prod(shape) * dtype.itemsize))
