"""Arrays by name in an .npz file or a folder of .npy files; never unpickled. Knows numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kdbench.errors import DataError, Unreadable, nearest
from kdbench.files import read_array, read_arrays
from kdbench.ragged import Array, Index, Ragged

PICKLED = "pickle"
"""What numpy's refusal of an array of Python objects speaks of."""


@dataclass
class Source:
    """The arrays of one place. Every method's errors begin with the place and the key."""

    place: Path
    arrays: dict[str, Array] = field(repr=False)

    @classmethod
    def open(cls, place: Path) -> Source:
        """Read every array. Raises DataError where there are none, or some hold Python objects."""
        if place.is_dir():
            found = {path.stem: path for path in sorted(place.glob("*.npy"))}
            if not found:
                raise DataError(f"the folder '{place}' holds no .npy file; it needs one an array, NAME.npy.")
            return cls(place, {name: _read(place, name, path) for name, path in found.items()})
        if place.suffix == ".npy":
            raise DataError(
                f"'{place}' is one array; put NAME.npy files into a folder and name the folder, or save an .npz."
            )
        try:
            return cls(place, read_arrays(place))
        except Unreadable as error:
            if PICKLED in str(error):
                raise DataError(f"'{place}': {_guilty(place)}: {OBJECTS}") from None
            raise DataError(f"cannot read '{place}' ({error}); name an .npz file or a folder of .npy files.") from None

    def has(self, key: str) -> bool:
        return key in self.arrays

    def array(self, key: str, why: str = "") -> Array:
        """Raises DataError where there is no such array."""
        if key not in self.arrays:
            raise DataError(f"'{self.place}' has no array '{key}'{why}. {nearest(key, self.arrays)}")
        return self.arrays[key]

    def error(self, key: str, text: str) -> DataError:
        """A sentence about one array."""
        return DataError(f"'{self.place}': {key}: {text}")

    def lengths(self, key: str) -> Index | None:
        """How long each example of an array is, (N,), where `KEY_lengths` or `KEY_offsets` says it."""
        if self.has(f"{key}_offsets"):
            offsets = self._whole_numbers(f"{key}_offsets")
            if len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
                raise self.error(f"{key}_offsets", "must rise from 0, one number more than there are examples.")
            return np.diff(offsets)
        return self._whole_numbers(f"{key}_lengths") if self.has(f"{key}_lengths") else None

    def varying(self, key: str, place: int) -> Ragged:
        """Examples that vary along axis `place` of each, which is moved to the front; see `ArrayInput` for the forms.

        Raises DataError where lengths and values do not go together.
        """
        array, lengths = self.array(key), self.lengths(key)
        if lengths is not None and (lengths < 1).any():
            raise self.error(f"{key}_lengths", f"example {int(np.argmin(lengths))} is empty; leave such examples out.")
        if lengths is not None and len(array) == lengths.sum() and not self._are_rows(array, lengths, place):
            return Ragged(array, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        if array.ndim < 2 + place:
            raise self.error(
                key,
                f"has shape {array.shape}; examples that vary lie end to end beside {key}_lengths or {key}_offsets.",
            )
        rows = np.moveaxis(array, 1 + place, 1)
        if lengths is None:
            lengths = np.full(len(rows), rows.shape[1])
        if not self._are_rows(array, lengths, place):
            raise self.error(
                key,
                f"has shape {array.shape}, and its lengths are {len(lengths):,} numbers that sum to "
                f"{int(lengths.sum()):,}, the longest {int(lengths.max(initial=0)):,}; they do not go together.",
            )
        return Ragged.of([row[:length] for row, length in zip(rows, lengths, strict=True)])

    def _are_rows(self, array: Array, lengths: Index, place: int) -> bool:
        """Whether each example has a row of its own, as long as the longest or longer."""
        fits = array.ndim >= 2 + place and len(array) == len(lengths)
        return fits and array.shape[1 + place] >= lengths.max(initial=0)

    def _whole_numbers(self, key: str) -> Index:
        array = self.array(key)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise self.error(key, f"must be one whole number an example, (N,), and is {array.dtype} {array.shape}.")
        return array.astype(np.int64)


OBJECTS = (
    "holds Python objects, which are never read, as they could run code; save texts as str, and examples of unequal "
    "length end to end beside KEY_lengths."
)


def _read(place: Path, name: str, path: Path) -> Array:
    try:
        array: Array = read_array(path)
    except Unreadable as error:
        text = OBJECTS if PICKLED in str(error) else f"cannot be read ({error})."
        raise DataError(f"'{place}': {name}: {text}") from None
    return array


def _guilty(place: Path) -> str:
    """The first array of Python objects in an .npz."""
    with np.load(place, allow_pickle=False) as arrays:
        for key in arrays.files:
            try:
                arrays[key]
            except ValueError:
                return str(key)
    return "an array"
