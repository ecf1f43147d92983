"""Arrays by name in an .npz file or a folder of .npy files: mapped, and never unpickled. Knows numpy only."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.files import CHUNK, MOST_ARRAY_BYTES, READING, reason, regular
from kdbench.ragged import Array, Index, Ragged
from kdbench.tasks.spool import RaggedSpool

PICKLED = ("pickle", "Python objects")
"""What numpy's refusals of an array of Python objects speak of."""


@dataclass
class Source:
    """The arrays of one place. Every method's errors begin with the place and the key."""

    place: Path
    arrays: dict[str, Array] = field(repr=False)
    scratch: Path
    """A folder for what does not fit into memory."""

    @classmethod
    def open(cls, place: Path, scratch: Path) -> Source:
        """Map every array; those of an .npz are unpacked into `scratch` first.

        Raises DataError where there are none, or some hold Python objects.
        """
        if place.is_dir():
            found = {path.stem: path for path in sorted(place.glob("*.npy"))}
            if not found:
                raise DataError(f"the folder '{place}' holds no .npy file; it needs one an array, NAME.npy.")
            return cls(place, {name: _mapped(place, name, path) for name, path in found.items()}, scratch)
        if place.suffix == ".npy":
            raise DataError(
                f"'{place}' is one array; put NAME.npy files into a folder and name the folder, or save an .npz."
            )
        try:
            found = _unpacked(place, scratch)
        except READING as error:
            raise DataError(
                f"cannot read '{place}' ({reason(error)}); name an .npz file or a folder of .npy files."
            ) from None
        return cls(place, {name: _mapped(place, name, path) for name, path in found.items()}, scratch)

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
        with RaggedSpool(self.scratch, rows.dtype, rows.shape[2:]) as spool:
            for row, length in zip(rows, lengths, strict=True):
                spool.add([row[:length]])
            return spool.mapped()

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


def _mapped(place: Path, name: str, path: Path) -> Array:
    try:
        array: Array = np.load(regular(path), mmap_mode="r", allow_pickle=False)
    except READING as error:
        pickled = any(words in str(error) for words in PICKLED)
        text = OBJECTS if pickled else f"cannot be read ({reason(error)})."
        raise DataError(f"'{place}': {name}: {text}") from None
    return array


def _unpacked(place: Path, scratch: Path) -> dict[str, Path]:
    """The arrays of an .npz as files in a folder, by name. Raises one of READING."""
    found: dict[str, Path] = {}
    with zipfile.ZipFile(regular(place)) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if sum(member.file_size for member in members) > MOST_ARRAY_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_ARRAY_BYTES:,} bytes")
        for number, member in enumerate(members):
            path = found[member.filename.removesuffix(".npy")] = scratch / f"{number}.npy"
            with archive.open(member) as source, open(path, "xb") as target:
                shutil.copyfileobj(source, target, CHUNK)
    return found
