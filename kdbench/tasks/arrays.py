"""A task's decoded arrays: writing and mapping them, splits, the order and views of an epoch, preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.protocols import Preprocessing, TaskDescription
from kdbench.streams import stream

Array = NDArray[Any]
Index = NDArray[np.int64]


def write_split(out: Path, split: str, inputs: tuple[Array, ...], targets: Array) -> None:
    """Write one split as `{split}_inputs{i}.npy` (N, ...) and `{split}_targets.npy` (N,), int64.

    Inputs keep their dtype: uint8 for images (N, C, H, W), float32 otherwise.
    Raises DataError when an input has another number of examples than there are targets, or these are no classes: one
    whole number an example.
    """
    targets = np.asarray(targets)
    if targets.ndim != 1:
        raise DataError(f"the {split} targets have shape {targets.shape}, and one class an example was expected: (N,).")
    if targets.dtype.kind not in "biuf" or not (np.isfinite(targets) & (targets == np.floor(targets))).all():
        odd = (value for value in targets.tolist() if not isinstance(value, float) or not value.is_integer())
        raise DataError(
            f"the {split} targets must be classes, whole numbers from 0, and one is {next(odd)!r}; "
            "number the classes, or cut values to be predicted into classes."
        )
    for number, array in enumerate(inputs):
        if len(array) != len(targets):
            raise DataError(f"{split} has {len(targets)} targets, but its input {number} has {len(array)} examples.")
        np.save(out / f"{split}_inputs{number}.npy", array)
    np.save(out / f"{split}_targets.npy", targets.astype(np.int64))


@dataclass(frozen=True)
class ArrayData:
    """The arrays of a decoded task, mapped from disk and read-only."""

    splits: dict[str, tuple[tuple[Array, ...], Index]]

    @classmethod
    def open(cls, folder: Path, description: TaskDescription) -> "ArrayData":
        """Map what `decode` wrote. Raises DataError when the arrays are not as the description says."""
        data = cls({split: _load(folder, split, description) for split in description.example_counts})
        for split in data.splits:
            _check(data, split, description)
        return data

    def inputs(self, split: str) -> tuple[Array, ...]:
        """As stored, each (N, ...). Raises DataError when there is no such split."""
        return self._split(split)[0]

    def targets(self, split: str) -> Index:
        """(N,). Raises DataError when there is no such split."""
        return self._split(split)[1]

    def count(self, split: str) -> int:
        """How many examples a split has; 0 where there is no such split."""
        return len(self.targets(split)) if split in self.splits else 0

    def _split(self, split: str) -> tuple[tuple[Array, ...], Index]:
        if split not in self.splits:
            raise DataError(f"the task has no {split} split (it has {', '.join(self.splits)}); give it a fraction.")
        return self.splits[split]


def _load(folder: Path, split: str, description: TaskDescription) -> tuple[tuple[Array, ...], Index]:
    names = [f"{split}_inputs{number}.npy" for number in range(len(description.input_names))]
    arrays = [np.load(folder / name, mmap_mode="r") for name in (*names, f"{split}_targets.npy")]
    return tuple(arrays[:-1]), arrays[-1]


def _check(data: ArrayData, split: str, description: TaskDescription) -> None:
    wanted = [(description.example_counts[split], *shape) for shape in description.input_shapes]
    found = [array.shape for array in data.inputs(split)]
    if found != wanted:
        raise DataError(f"the {split} arrays have shapes {found}, the task described {wanted}; mend its decode().")
    targets = data.targets(split)
    if targets.min(initial=0) < 0 or targets.max(initial=0) >= description.class_count:
        raise DataError(f"the {split} targets must be 0 to {description.class_count - 1}; mend the task's decode().")


def stratified_split(targets: Array, fractions: Sequence[float], seed: int) -> list[Index]:
    """Share examples out at random, each class in the same proportions (largest remainder): sorted indices a part.

    `fractions` sum to 1; a tie goes to the earlier part.
    """
    rng = stream("split", seed)
    parts: list[list[Index]] = [[] for _ in fractions]
    for label in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == label))
        borders = np.cumsum(_largest_remainder(len(members), fractions))[:-1]
        for part, chosen in zip(parts, np.split(members, borders), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _largest_remainder(count: int, fractions: Sequence[float]) -> Index:
    # rounded, so that equal fractions stay equal and 0.3 of 10 is 3
    exact = np.round(count * np.asarray(fractions), 9)
    sizes = np.floor(exact).astype(np.int64)
    sizes[np.argsort(sizes - exact, kind="stable")[: count - sizes.sum()]] += 1
    return sizes


def per_class_subset(targets: Array, limit: int, seed: int) -> Index:
    """Sorted indices of `limit` random examples of each class, or of all where a class has fewer."""
    rng = stream("subset", seed)
    chosen = [rng.permutation(np.flatnonzero(targets == label))[:limit] for label in np.unique(targets)]
    return np.sort(np.concatenate(chosen))


def epoch_order(count: int, seed: int, epoch: int) -> Index:
    """The order (count,) in which an epoch takes its examples; a function of seed and epoch only."""
    return stream("order", seed, epoch).permutation(count)


def epoch_views(count: int, view_count: int, seed: int, epoch: int) -> Index:
    """The view (count,) of each example in an epoch, whatever the order and the batch size: entry i is example i's."""
    return stream("views", seed, epoch).integers(view_count, size=count)


def preprocess_array(array: Array, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(x * scale - mean) / std as float32, mean and std per channel (axis 1); for tensors `batches.preprocess`."""
    shape = (1, -1, *(1 for _ in array.shape[2:]))
    mean = np.asarray(preprocessing.mean, np.float32).reshape(shape)
    std = np.asarray(preprocessing.std, np.float32).reshape(shape)
    return (array.astype(np.float32) * np.float32(preprocessing.scale) - mean) / std
