"""Your own images, in one folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveFloat, model_validator

from kdbench.errors import DataError
from kdbench.protocols import ImageForm, Preprocessing, TaskDescription
from kdbench.protocols.data import ValidationOrigin
from kdbench.tasks._images import Images
from kdbench.tasks.image_listing import File, Listing, list_images

if TYPE_CHECKING:
    from kdbench.tasks._labelled import Labelled

NAMED_FILES = 5
"""Files that a note names before it only counts."""


class ImageFolder(Images):
    """Images under root/train/CLASS/ and root/test/CLASS/ (png, jpg, jpeg, webp, bmp), decoded once into arrays.

    Where root/validation/CLASS/ is there too, it is the validation split; else `validation_fraction` of the training
    images are. Pictures are turned upright as their EXIF data says, converted to RGB (or grey), and where they are not
    image_size x image_size already, resized on the shorter side and cut to the centre. A file that cannot be read, or
    is of another format, is left out, and the report says so.
    """

    version: ClassVar[int] = 2

    root: str
    """The folder with `train` and `test` in it, and `validation` where there is one."""
    image_size: int = Field(gt=0)
    """Height and width of the decoded images, in pixels."""
    grayscale: bool = False
    """One channel instead of three."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel on the scale 0 to 1, given together with `std`; without both, they are those of the training
    split."""
    std: tuple[PositiveFloat, ...] | None = None
    """Standard deviation of each channel, like `mean`."""
    examples_per_class: int | None = Field(None, gt=0)
    """Use this many random images of each class of train (before validation is taken from them) and as many of test;
    all where a class has fewer."""
    origin: str = ""
    """Where the images come from and on what terms; it goes with every model that `kdbench get` hands over."""

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> ImageFolder:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together, or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            channels = self.image_form().channels
            if values is not None and len(values) != channels:
                raise ValueError(f"{name} needs one number a channel ({channels}), got {len(values)}")
        return self

    def image_form(self) -> ImageForm:
        """The size and channels that the fields ask for."""
        return ImageForm(size=self.image_size, channels=1 if self.grayscale else 3)

    def data_origin(self) -> str:
        """The field `origin`."""
        return self.origin

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; `root` is replaced by a digest of its files' names, sizes and times.

        Raises DataError without them.
        """
        return {**self.model_dump(mode="json", exclude={"root", "origin"}), "listing": self._listing().digest()}

    def decode(self, out: Path) -> TaskDescription:
        """Images pass through memory a few MiB at a time; on disk they take N * channels * image_size^2 bytes, and

        twice that while they are shared out into splits.

        Raises DataError when the folders are not there, or unreadable files leave a class without images.
        """
        from kdbench.tasks._labelled import with_validation, write_images

        listing = self._listing()
        read, notes = self._read(listing, out)
        origin: ValidationOrigin = "own"
        if "validation" not in read:
            read, origin = (
                with_validation(**read, fraction=self.validation_fraction, seed=self.split_seed),
                self.validation_origin(),
            )
        preprocessing = self._preprocessing(read["train"])
        return write_images(out, read, listing.class_names, preprocessing, notes, origin)

    def _listing(self) -> Listing:
        return list_images(Path(self.root).expanduser())

    def _read(self, listing: Listing, out: Path) -> tuple[dict[str, Labelled], tuple[str, ...]]:
        """The images of each split, and what a reader must know about them."""
        from kdbench.tasks.pictures import read_pictures

        chosen = {split: self._chosen(listing, split) for split in listing.splits}
        read: dict[str, Labelled] = {}
        unreadable: dict[str, str] = {}
        for split, files in chosen.items():
            read[split], reasons = read_pictures(listing.root, files, self.image_form(), out)
            unreadable |= reasons
        _check_readable(listing, read)
        count = sum(len(files) for files in chosen.values())
        notes = (self._subset_note(), _unreadable_note(unreadable, count), _passed_over_note(listing.passed_over))
        return read, tuple(note for note in notes if note)

    def _chosen(self, listing: Listing, split: str) -> list[File]:
        import numpy as np

        from kdbench.tasks.arrays import per_class_subset

        files = listing.splits[split]
        if self.examples_per_class is None:
            return files
        labels = np.array([file.label for file in files])
        return [files[place] for place in per_class_subset(labels, self.examples_per_class, self.split_seed)]

    def _preprocessing(self, train: Labelled) -> Preprocessing:
        from kdbench.tasks._labelled import channel_statistics

        if self.mean is not None and self.std is not None:
            return Preprocessing(scale=1 / 255, mean=self.mean, std=self.std)
        mean, std = channel_statistics(train.images)
        return Preprocessing(scale=1 / 255, mean=mean, std=std)

    def _subset_note(self) -> str:
        if self.examples_per_class is None:
            return ""
        return f"At most {self.examples_per_class:,} images of each class were used, in training and in test."


def _check_readable(listing: Listing, read: dict[str, Labelled]) -> None:
    for label, name in enumerate(listing.class_names):
        if not (read["train"].targets == label).any():
            raise DataError(f"none of the images in '{listing.root / 'train' / name}' could be read; replace them.")
    for split, labelled in read.items():
        if len(labelled.targets) == 0:
            raise DataError(f"none of the images in '{listing.root / split}' could be read; replace them.")


def _unreadable_note(reasons: dict[str, str], count: int) -> str:
    if not reasons:
        return ""
    named = _named([f"{name} ({reason})" for name, reason in reasons.items()])
    were = "was" if len(reasons) == 1 else "were"
    return f"{len(reasons):,} of {count:,} images could not be read and {were} left out: {named}."


def _passed_over_note(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    files = "1 picture was" if len(names) == 1 else f"{len(names):,} pictures were"
    return (
        f"{files} passed over, as {'it is' if len(names) == 1 else 'they are'} of a format that is not read or no "
        f"regular {'file' if len(names) == 1 else 'files'}: {_named(names)}. Convert them to PNG or JPEG to use them."
    )


def _named(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED_FILES:,} more"] if len(names) > NAMED_FILES else []
    return ", ".join([*names[:NAMED_FILES], *more])
