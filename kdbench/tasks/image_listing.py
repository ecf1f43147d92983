"""Which image files a folder of classes holds, found without opening any of them; standard library only."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kdbench.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SPLITS = ("train", "test")


class File(NamedTuple):
    """One image: its path under the root (`train/cat/1.png`), its class's place, and what tells a changed file."""

    name: str
    label: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """All of a root's images, sorted by name."""

    root: Path
    class_names: tuple[str, ...]
    splits: dict[str, list[File]]

    def digest(self) -> str:
        """The same for two copies of a folder that kept their files' times (rsync -a, tar), wherever they lie."""
        return digest(file for files in self.splits.values() for file in files)


def digest(files: Iterable[File]) -> str:
    """The same for two copies of the files that kept their times, wherever they lie."""
    lines = (f"{file.name}\0{file.size}\0{file.mtime_ns}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def loose_images(folder: Path) -> list[File]:
    """Every image below a folder, at any depth, sorted by path, without a label (-1).

    Raises DataError where the folder cannot be read or has no image.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'; name one with images in it.")
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.name.startswith("."))]
    within = [place.relative_to(folder).as_posix() for place in places]
    files = [file for place in within for file in _class_files(folder, place, -1)]
    if not files:
        raise DataError(f"no image ({', '.join(SUFFIXES)}) lies in '{folder}'; add some, or name another folder.")
    return sorted(files, key=lambda file: file.name)


def list_images(root: Path) -> Listing:
    """Every image below root/train/CLASS and root/test/CLASS; classes sorted by name, hidden entries passed over.

    Raises DataError when the folders are not laid out so, or a class has nothing to train on.
    """
    classes = {split: _classes(root, split) for split in SPLITS}
    _same(root, classes)
    names = tuple(sorted(classes["train"]))
    splits = {split: _files(root, split, names) for split in SPLITS}
    filled = {file.label for file in splits["train"]}
    empty = [name for label, name in enumerate(names) if label not in filled]
    if empty:
        raise DataError(
            f"no image ({', '.join(SUFFIXES)}) lies in '{root / 'train' / empty[0]}'; add some, or remove it."
        )
    if not splits["test"]:
        raise DataError(f"no image ({', '.join(SUFFIXES)}) lies in any class of '{root / 'test'}'; add some.")
    return Listing(root, names, splits)


def _classes(root: Path, split: str) -> list[str]:
    try:
        with os.scandir(root / split) as entries:
            return [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        missing = root / split if root.is_dir() else root
        raise DataError(
            f"cannot read the folder '{missing}' ({error.strerror}); "
            f"image_folder expects '{root}' to hold train/CLASS/* and test/CLASS/*."
        ) from None


def _same(root: Path, classes: dict[str, list[str]]) -> None:
    train, test = (set(classes[split]) for split in SPLITS)
    if len(train) < 2:
        raise DataError(f"'{root / 'train'}' holds {len(train)} class folders, at least 2 are needed: train/CLASS/*.")
    if train != test:
        name = min(train ^ test)
        here, there = ("train", "test") if name in train else ("test", "train")
        raise DataError(
            f"'{root}': train and test must hold the same classes, but {len(train ^ test)} differ: "
            f"'{name}' is in {here} and not in {there}."
        )


def _files(root: Path, split: str, class_names: tuple[str, ...]) -> list[File]:
    return [
        file
        for label, name in enumerate(class_names)
        for file in sorted(_class_files(root, f"{split}/{name}", label), key=lambda file: file.name)
    ]


def _class_files(root: Path, place: str, label: int) -> list[File]:
    try:
        with os.scandir(root / place) as entries:
            return [
                File(f"{place}/{entry.name}", label, entry.stat().st_size, entry.stat().st_mtime_ns)
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
            ]
    except OSError as error:
        raise DataError(f"cannot read '{error.filename}' ({error.strerror}); mend or remove it.") from None
