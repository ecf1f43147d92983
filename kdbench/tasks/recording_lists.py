"""Which recordings a task has, found without opening any of them; standard library only."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kdbench.errors import DataError, nearest
from kdbench.tasks.recordings import SUFFIXES

SPLITS = ("train", "validation", "test")
COLUMNS = ("file", "label")


class Recording(NamedTuple):
    """One recording: its path under the root, the number of its class, and its size and time."""

    name: str
    label: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Recordings:
    """All recordings of a task, sorted by name."""

    root: Path
    class_names: tuple[str, ...]
    splits: dict[str, list[Recording]]
    """train, test, and validation where there is one."""

    def digest(self) -> str:
        """A digest of splits, labels, names, sizes and times."""
        lines = (
            f"{split}\0{self.class_names[file.label]}\0{file.name}\0{file.size}\0{file.mtime_ns}"
            for split, files in self.splits.items()
            for file in files
        )
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def list_recordings(root: Path, manifest: str | None, hold_out: Mapping[str, Sequence[str]]) -> Recordings:
    """The recordings of root/SPLIT/CLASS, or those that a manifest lists.

    Raises DataError where folders, columns or files are not there, or a split or class would be empty.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder '{root}'; name the one with the recordings.")
    rows = list(_in_folders(root) if manifest is None else _listed(root, root / Path(manifest).expanduser(), hold_out))
    names = tuple(sorted({label for split, label, _ in rows if split == "train"}))
    if len(names) < 2:
        raise DataError(f"'{root}' has training recordings of {len(names)} classes, at least 2 are needed.")
    splits: dict[str, list[Recording]] = {}
    for split, label, name in sorted(rows, key=lambda row: row[2]):
        if label not in names:
            raise DataError(f"'{root / name}' is of class '{label}', which has no training recording; add some.")
        splits.setdefault(split, []).append(_recording(root, name, names.index(label)))
    for split in ("train", "test"):
        if not splits.get(split):
            raise DataError(f"no recording of '{root}' is in the {split} split; put some there.")
    return Recordings(root, names, {split: splits[split] for split in SPLITS if split in splits})


def _recording(root: Path, name: str, label: int) -> Recording:
    try:
        found = (root / name).stat()
    except OSError as error:
        raise DataError(f"cannot read '{root / name}' ({error.strerror}); mend the manifest.") from None
    return Recording(name, label, found.st_size, found.st_mtime_ns)


def _in_folders(root: Path) -> Iterable[tuple[str, str, str]]:
    """(split, label, name) of every recording below root/SPLIT/CLASS."""
    for split in SPLITS:
        folder = root / split
        if split != "validation" and not folder.is_dir():
            raise DataError(
                f"there is no folder '{folder}': recordings lie in train/CLASS/ and test/CLASS/, or a manifest lists "
                "them (`manifest: FILE.csv` with the columns file and label)."
            )
        for path in sorted(folder.glob("*/**/*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                yield split, path.relative_to(folder).parts[0], path.relative_to(root).as_posix()


def _listed(root: Path, path: Path, hold_out: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, str, str]]:
    """(split, label, name) of every row of a manifest."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the manifest '{path}' ({error}); it is a CSV file with a header.") from None
    if not rows:
        raise DataError(f"the manifest '{path}' has no row behind its header; list recordings in it.")
    for column in (*COLUMNS, *hold_out):
        if column not in rows[0]:
            raise DataError(f"the manifest '{path}' has no column '{column}'. {nearest(column, list(rows[0]))}")
    if "split" not in rows[0] and not hold_out:
        raise DataError(
            f"the manifest '{path}' has no column 'split' (train, validation, test); add one, or say in `hold_out` "
            "whose recordings are for the test."
        )
    for number, row in enumerate(rows, start=2):
        if not row["file"] or not row["label"]:
            raise DataError(f"'{path}', row {number}: a file and a label were expected.")
        yield _split_of(row, hold_out, path, number), row["label"], row["file"]


def _split_of(row: Mapping[str, str], hold_out: Mapping[str, Sequence[str]], path: Path, number: int) -> str:
    if any(row[column] in values for column, values in hold_out.items()):
        return "test"
    split = row.get("split") or "train"
    if split not in SPLITS:
        raise DataError(f"'{path}', row {number}: the split is one of {', '.join(SPLITS)}, got '{split}'.")
    return "train" if hold_out and split == "test" else split
