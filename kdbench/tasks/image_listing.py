"""Which image files a folder of classes holds, found without opening any of them; standard library only."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kdbench.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
OTHER_SUFFIXES = frozenset(
    {
        *(".gif", ".tif", ".tiff", ".avif", ".jfif", ".jpe", ".jp2", ".jxl", ".heic", ".heif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".svg", ".eps", ".psd", ".dng", ".dcm"),
    }
)
"""Pictures that are passed over, and said to be."""
SPLITS = ("train", "test")
"""Those that a root must have."""
VALIDATION = "validation"
"""The one that it may have."""


class File(NamedTuple):
    """One image: its path under the root (`train/cat/1.png`), the number of its class, and its size and time."""

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
    """train, test, and validation where the root has that folder."""
    passed_over: tuple[str, ...] = ()
    """Names of the pictures that were not taken: of another format, or no regular files."""

    def digest(self) -> str:
        """A digest of names, sizes and times: copies that kept the files' times (rsync -a, tar) have the same."""
        return digest(file for files in self.splits.values() for file in files)


def digest(files: Iterable[File]) -> str:
    """A digest of names, sizes and times: copies that kept the files' times (rsync -a, tar) have the same."""
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
    files = [file for place in within for file in _read_folder(folder, place, -1)[0]]
    if not files:
        raise DataError(f"no image ({', '.join(SUFFIXES)}) lies in '{folder}'; add some, or name another folder.")
    return sorted(files, key=lambda file: file.name)


def list_images(root: Path) -> Listing:
    """Every image below root/train/CLASS, root/test/CLASS and, where it is there, root/validation/CLASS.

    Classes are sorted by name; names that Unicode writes in two ways (an accent as one character or as two) are one
    class. Hidden entries are passed over. Raises DataError when the folders are not laid out so, a class has nothing to
    train on, or test or validation have no image at all.
    """
    splits = (*SPLITS, VALIDATION) if (root / VALIDATION).is_dir() else SPLITS
    classes = {split: _classes(root, split) for split in splits}
    _check_same(root, classes)
    names = tuple(sorted(classes["train"]))
    files: dict[str, list[File]] = {}
    passed_over: list[str] = []
    for split in splits:
        read = [_read_folder(root, f"{split}/{classes[split][name]}", label) for label, name in enumerate(names)]
        files[split] = [file for found, _ in read for file in sorted(found, key=lambda file: file.name)]
        passed_over += [name for _, others in read for name in others]
    filled = {file.label for file in files["train"]}
    empty = [name for label, name in enumerate(names) if label not in filled]
    if empty:
        raise DataError(
            f"no image ({', '.join(SUFFIXES)}) lies in '{root / 'train' / empty[0]}'; add some, or remove it."
        )
    for split in splits:
        if not files[split]:
            raise DataError(f"no image ({', '.join(SUFFIXES)}) lies in any class of '{root / split}'; add some.")
    return Listing(root, names, files, tuple(sorted(passed_over)))


def _classes(root: Path, split: str) -> dict[str, str]:
    """Class name, in Unicode's composed form -> the folder's own name."""
    try:
        with os.scandir(root / split) as entries:
            folders = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        missing = root / split if root.is_dir() else root
        raise DataError(
            f"cannot read the folder '{missing}' ({error.strerror}); "
            f"image_folder expects '{root}' to hold train/CLASS/* and test/CLASS/*."
        ) from None
    found: dict[str, str] = {}
    for folder in sorted(folders):
        name = unicodedata.normalize("NFC", folder)
        if printable(folder) != folder:
            raise DataError(
                f"the folder '{printable(folder)}' in '{root / split}' has a name that is not UTF-8; rename it."
            )
        if name in found:
            raise DataError(
                f"'{root / split}' has two folders named '{name}', which differ only in how Unicode writes the name; "
                "put their images into one."
            )
        found[name] = folder
    return found


def printable(name: str) -> str:
    """A file's name with the bytes that are not UTF-8 replaced, so that it can be shown and stored."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check_same(root: Path, classes: dict[str, dict[str, str]]) -> None:
    train = set(classes["train"])
    if len(train) < 2:
        raise DataError(f"'{root / 'train'}' holds {len(train)} class folders, at least 2 are needed: train/CLASS/*.")
    for split, names in classes.items():
        if differing := train ^ set(names):
            name = min(differing)
            here, there = ("train", split) if name in train else (split, "train")
            raise DataError(
                f"'{root}': train and {split} must hold the same classes, but {len(differing)} differ: "
                f"'{name}' is in {here} and not in {there}."
            )


def _read_folder(root: Path, place: str, label: int) -> tuple[list[File], list[str]]:
    """The images that lie in a folder, and the names of pictures that are not taken."""
    taken, others = [], []
    try:
        with os.scandir(root / place) as entries:
            for entry in entries:
                suffix = Path(entry.name.lower()).suffix
                if entry.name.startswith(".") or suffix not in OTHER_SUFFIXES.union(SUFFIXES):
                    continue
                if suffix in OTHER_SUFFIXES or not entry.is_file():
                    others.append(f"{place}/{printable(entry.name)}")
                else:
                    taken.append(File(f"{place}/{entry.name}", label, entry.stat().st_size, entry.stat().st_mtime_ns))
    except OSError as error:
        raise DataError(f"cannot read '{error.filename}' ({error.strerror}); mend or remove it.") from None
    return taken, others
