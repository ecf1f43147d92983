"""Examples of unequal length: stored end to end, padded as a batch needs them. Knows numpy only.

The measuring program carries the file: it keeps to the syntax of Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError

Array = NDArray[Any]
Index = NDArray[np.int64]
OFFSETS = "_offsets"


@dataclass(frozen=True)
class Ragged:
    """N examples, each (length, ...): what varies lies first."""

    values: Array
    """(sum of lengths, ...)."""
    offsets: Index
    """(N + 1,): example i is values[offsets[i] : offsets[i + 1]]."""

    @classmethod
    def of(cls, examples: Sequence[Array]) -> Ragged:
        """Put examples end to end. Raises DataError where their other axes differ."""
        arrays = [np.asarray(example) for example in examples]
        if not arrays or len({array.shape[1:] for array in arrays}) != 1:
            shapes = sorted({str(array.shape) for array in arrays})[:3]
            raise DataError(f"examples may differ along their first axis only, and there are {', '.join(shapes)}.")
        return cls(np.concatenate(arrays), np.cumsum([0, *map(len, arrays)]).astype(np.int64))

    @classmethod
    def open(cls, path: Path) -> Ragged:
        """Map what `save` wrote."""
        return cls(np.load(path, mmap_mode="r"), np.load(_offsets_file(path)))

    def save(self, path: Path) -> None:
        """Write the values to `path` and the offsets beside it."""
        np.save(path, self.values)
        self.save_offsets(path, self.offsets)

    @staticmethod
    def save_offsets(path: Path, offsets: Index) -> None:
        """Write offsets beside the values at `path`."""
        np.save(_offsets_file(path), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, place: int) -> Array:
        values: Array = self.values[self.offsets[place] : self.offsets[place + 1]]
        return values

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of an example's other axes."""
        return tuple(self.values.shape[1:])

    @property
    def lengths(self) -> Index:
        """(N,)."""
        return np.diff(self.offsets)

    def taken(self, index: Index) -> Ragged:
        """Some of the examples, in that order."""
        return Ragged.of([self[place] for place in index])

    def padded(self, index: Index, padding: Any, multiple: int = 1) -> Array:
        """Some examples as one array (B, longest, ...), `padding` (one number, or (...)) behind the end of each."""
        longest = -(-int(self.lengths[index].max(initial=1)) // multiple) * multiple
        rows = np.empty((len(index), longest, *self.shape), self.values.dtype)
        rows[:] = padding
        for row, place in enumerate(index):
            example = self[place]
            rows[row, : len(example)] = example
        return rows

    def resized(self, index: Index, size: int) -> Array:
        """Some examples as one array (B, size, ...), each cut to that length or repeated until it fills it."""
        return np.stack([np.resize(self[place], (size, *self.shape)) for place in index])


Stored = Union[Array, Ragged]
"""An array (N, ...), or N examples of unequal length."""


def chosen(stored: Stored, index: Index) -> Stored:
    """Some of the examples, in that order."""
    return stored.taken(index) if isinstance(stored, Ragged) else np.ascontiguousarray(stored[index])


def same(one: Stored, other: Stored) -> bool:
    """Whether two lists of examples are equal, number by number."""
    if len(one) != len(other) or isinstance(one, Ragged) != isinstance(other, Ragged):
        return False
    return all(np.array_equal(one[place], other[place]) for place in range(len(one)))


def is_ragged(path: Path) -> bool:
    """Whether a stored array has offsets beside it."""
    return _offsets_file(path).exists()


def stored_array(path: Path) -> Stored:
    """Map an array, or the examples of unequal length that it holds."""
    return Ragged.open(path) if is_ragged(path) else np.load(path, mmap_mode="r")


def save_array(path: Path, examples: Stored) -> None:
    """Write what `stored_array` maps."""
    if isinstance(examples, Ragged):
        examples.save(path)
    else:
        np.save(path, examples)


def as_entries(name: str, stored: Stored) -> dict[str, Array]:
    """The entries of an .npz under a name."""
    if isinstance(stored, Ragged):
        return {name: stored.values, f"{name}{OFFSETS}": stored.offsets}
    return {name: np.asarray(stored)}


def from_entries(arrays: Mapping[str, Array], name: str) -> Stored | None:
    """What `as_entries` made; None where there is nothing under the name."""
    if name in arrays and f"{name}{OFFSETS}" in arrays:
        return Ragged(arrays[name], arrays[f"{name}{OFFSETS}"])
    return arrays.get(name)


def _offsets_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}{OFFSETS}.npy")


def typical_lengths(lengths: Index) -> dict[str, int]:
    """The median, the 95th percentile and the longest of examples' lengths (N,): `SymbolicAxis.lengths` of train.

    The first two are lengths that examples have: the lower of two where the rank falls between them.
    """
    median, p95 = (int(np.quantile(lengths, rank, method="lower")) for rank in (0.5, 0.95))
    return {"median": median, "p95": p95, "longest": int(lengths.max())}
