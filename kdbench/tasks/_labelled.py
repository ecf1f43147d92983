"""Decoded images with their labels: taking a validation split out of them, writing them as a task's arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.protocols import Preprocessing, TaskDescription
from kdbench.protocols.data import ValidationOrigin
from kdbench.ragged import Array, Index
from kdbench.tasks.arrays import stratified_split, write_split
from kdbench.tasks.rows import Rows


@dataclass(frozen=True)
class Labelled:
    """images: uint8 (N, C, H, W), or rows of such an array that may be larger than memory; targets: (N,), places in the

    class names.
    """

    images: NDArray[np.uint8] | Rows
    targets: Array

    def __getitem__(self, index: Index) -> "Labelled":
        """Some of the images, in that order; none is brought to memory yet."""
        return Labelled(Rows.of(self.images)[index], self.targets[index])


def with_validation(train: Labelled, test: Labelled, fraction: float, seed: int) -> dict[str, Labelled]:
    """train, validation (a stratified share of the training examples; none when `fraction` is 0) and test.

    Raises DataError when the share is too small or too large to leave both parts what they need.
    """
    if fraction == 0:
        return {"train": train, "test": test}
    kept, taken = split_off(train.targets, fraction, seed, "images")
    return {"train": train[kept], "validation": train[taken], "test": test}


def split_off(targets: Array, fraction: float, seed: int, what: str) -> tuple[Index, Index]:
    """Places of the training examples (N,) that stay, and of those that become validation: a share of each class.

    what: the examples in the plural, for messages. Raises DataError when the share is too small or too large to leave
    both parts what they need.
    """
    kept, taken = stratified_split(targets, (1 - fraction, fraction), seed)
    share = f"validation_fraction {fraction} of {len(targets):,} training {what}"
    if len(taken) == 0:
        raise DataError(f"{share} leaves no validation {what.removesuffix('s')}; raise it, or set it to 0.")
    if len(np.unique(targets[kept])) < len(np.unique(targets)):
        raise DataError(f"{share} leaves a class without training {what}; lower it.")
    return kept, taken


def write_images(
    out: Path,
    splits: dict[str, Labelled],
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
    notes: tuple[str, ...] = (),
    validation_origin: ValidationOrigin = "own",
) -> TaskDescription:
    """Write every split, and describe them as a task of one input, `image`."""
    for split, examples in splits.items():
        write_split(out, split, (examples.images,), examples.targets)
    return TaskDescription.classification(
        input_names=("image",),
        input_shapes=(splits["train"].images.shape[1:],),
        class_names=class_names,
        preprocessing=preprocessing,
        example_counts={split: len(examples.targets) for split, examples in splits.items()},
        notes=notes,
        validation_origin=validation_origin,
    )


def channel_statistics(images: NDArray[np.uint8] | Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel's pixels, as fractions of 255; a constant channel has deviation 1."""
    levels = np.arange(256) / 255
    counts = np.zeros((images.shape[1], 256), np.int64)
    for piece in Rows.of(images).pieces():
        for channel, count in enumerate(counts):
            count += np.bincount(piece[:, channel].ravel(), minlength=256)
    means = [float(np.average(levels, weights=count)) for count in counts]
    variances = [float(np.average((levels - mean) ** 2, weights=n)) for mean, n in zip(means, counts, strict=True)]
    return tuple(round(mean, 6) for mean in means), tuple(round(v**0.5, 6) or 1.0 for v in variances)
