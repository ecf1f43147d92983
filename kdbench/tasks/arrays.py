"""A task's decoded arrays: writing and mapping them, splits, the order and views of an epoch, preprocessing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdbench.errors import DataError
from kdbench.protocols import Input, TaskDescription
from kdbench.ragged import Array, Index, Ragged, Stored, stored_array
from kdbench.streams import stream
from kdbench.tasks.checks import check_shapes
from kdbench.tasks.rows import MadeRows, RaggedRows, Rows

Examples = Array | Rows | RaggedRows | MadeRows | Sequence[Array]
"""An array (N, ...), or N arrays (length, ...) that differ in their first axis; or rows that may be larger than memory.
"""


def write_split(out: Path, split: str, inputs: Sequence[Examples], targets: Examples | tuple[Examples, ...]) -> None:
    """Write one split as `{split}_inputs{i}.npy` and `{split}_targets{j}.npy`, one an input and one an output.

    inputs: for each stored input an array (N, ...), or N arrays whose first axis varies; an axis that varies and is
    not the first of an input is moved there (and back, as a batch is made). They keep their dtype: uint8 for images
    (N, C, H, W), int32 for ids, float32 otherwise. targets: likewise, an array alone where there is one output.

    Raises DataError when an array has another number of examples than the first targets.
    """
    every = targets if isinstance(targets, tuple) else (targets,)
    count = len(every[0])
    for role, arrays in (("inputs", inputs), ("targets", every)):
        for number, examples in enumerate(arrays):
            if len(examples) != count:
                raise DataError(
                    f"{split} has {count} targets, but its {role.rstrip('s')} {number} has {len(examples)} examples."
                )
            path = out / f"{split}_{role}{number}.npy"
            if isinstance(examples, Rows | RaggedRows | MadeRows):
                examples.save(path)
            elif isinstance(examples, np.ndarray):
                np.save(path, examples)
            else:
                Ragged.of(examples).save(path)


@dataclass(frozen=True)
class Split:
    """One split as stored: arrays, mapped from disk and read-only."""

    inputs: tuple[Stored, ...]
    """One for each input that is stored (`Input.stored`), in the description's order."""
    targets: tuple[Stored, ...]
    """One an output."""

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(self.targets[0])


@dataclass(frozen=True)
class ArrayData:
    """The arrays of a decoded task."""

    description: TaskDescription
    splits: dict[str, Split]

    @classmethod
    def open(cls, folder: Path, description: TaskDescription) -> "ArrayData":
        """Map what `decode` wrote. Raises DataError when the arrays are not as the description says."""
        data = cls(description, {split: _load(folder, split, description) for split in description.example_counts})
        for split in data.splits:
            check_shapes(data.split(split), split, description)
        return data

    def split(self, split: str) -> Split:
        """Raises DataError when there is no such split."""
        if split not in self.splits:
            raise DataError(f"the task has no {split} split (it has {', '.join(self.splits)}); give it a fraction.")
        return self.splits[split]

    def inputs(self, split: str) -> tuple[Stored, ...]:
        """As stored. Raises DataError when there is no such split."""
        return self.split(split).inputs

    def targets(self, split: str) -> Stored:
        """Those of the first output. Raises DataError when there is no such split."""
        return self.split(split).targets[0]

    def count(self, split: str) -> int:
        """How many examples a split has; 0 where there is no such split."""
        return self.splits[split].count if split in self.splits else 0

    def lengths(self, split: str) -> dict[str, Index]:
        """For each axis that varies, how long each example is, (N,)."""
        stored = [one for one in self.description.inputs if one.stored]
        return {
            one.symbolic: array.lengths
            for one, array in zip(stored, self.inputs(split), strict=True)
            if one.symbolic is not None and isinstance(array, Ragged)
        }


def _load(folder: Path, split: str, description: TaskDescription) -> Split:
    stored = [one for one in description.inputs if one.stored]
    inputs = [stored_array(folder / f"{split}_inputs{number}.npy") for number in range(len(stored))]
    targets = [stored_array(folder / f"{split}_targets{number}.npy") for number in range(len(description.outputs))]
    return Split(tuple(inputs), tuple(targets))


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


def shortest_first(data: ArrayData, split: str) -> Index:
    """The order in which batches of a split have least padding; its own where no length varies."""
    lengths = next(iter(data.lengths(split).values()), None)
    return np.arange(data.split(split).count) if lengths is None else np.argsort(lengths, kind="stable")


def preprocess_array(array: Array, one: Input) -> Array:
    """Stored examples (B, ...) as a model takes them: integers as int64, else (x * scale - mean) / std as float32.

    Mean and std are per channel (axis 1); for tensors `batches.preprocess`.
    """
    if one.dtype == "int64":
        return array.astype(np.int64)
    shape = (1, -1, *(1 for _ in array.shape[2:]))
    mean = np.asarray(one.preprocessing.mean, np.float32).reshape(shape)
    std = np.asarray(one.preprocessing.std, np.float32).reshape(shape)
    found = array.astype(np.float32)
    found *= np.float32(one.preprocessing.scale)
    found -= mean
    found /= std
    return found


def gathered(data: ArrayData, split: str, index: Index) -> tuple[tuple[Array, ...], dict[str, Index]]:
    """Stored inputs of some examples, padded to the longest among them, and how long each is by axis.

    An input's axis that varies stands at its place, behind the batch axis.
    """
    stored = [one for one in data.description.inputs if one.stored]
    arrays = []
    for one, array in zip(stored, data.inputs(split), strict=True):
        if isinstance(array, Ragged):
            place = one.axes.index(one.symbolic or "")
            multiple = data.description.axis(one.symbolic or "").multiple
            arrays.append(np.moveaxis(array.padded(index, one.padding, multiple), 1, place + 1))
        else:
            arrays.append(array[index])  # a copy, so that torch never sees the read-only map
    return tuple(arrays), {axis: lengths[index] for axis, lengths in data.lengths(split).items()}


def model_inputs(
    description: TaskDescription, stored: Sequence[Array], lengths: Mapping[str, Index]
) -> dict[str, Array]:
    """What a model is fed, by input name: stored inputs preprocessed, masks and lengths made."""
    given = iter(stored)
    return {
        one.name: preprocess_array(next(given), one) if one.stored else made_array(one, stored, description, lengths)
        for one in description.inputs
    }


def made_array(
    one: Input, stored: Sequence[Array], description: TaskDescription, lengths: Mapping[str, Index]
) -> Array:
    """A mask (B, L), 1 at real places, or the lengths (B,) of the axis that an input covers."""
    axis = one.covers or one.symbolic or ""
    if one.role == "lengths":
        return lengths[axis].astype(one.dtype)
    return (np.arange(padded_size(axis, stored, description)) < lengths[axis][:, None]).astype(one.dtype)


def padded_size(axis: str, stored: Sequence[Array], description: TaskDescription) -> int:
    """The size of an axis in padded inputs."""
    inputs = [one for one in description.inputs if one.stored]
    sizes = (
        array.shape[1 + one.axes.index(axis)] for one, array in zip(inputs, stored, strict=True) if axis in one.axes
    )
    return int(next(sizes))
