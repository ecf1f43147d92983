"""Which recordings a task has, found without opening any of them; standard library only."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.tasks.kept_groups import kept
from kdbench.tasks.sound_numbers import SUFFIXES

SPLITS = ("train", "validation", "test")
PART = re.compile(r"\{(\w+)\}")


class Place(NamedTuple):
    """Where a task's recordings lie, and what says which of them belong to which split."""

    root: Path
    manifest: str | None = None
    """A CSV or TSV file with a row a recording."""
    pattern: str | None = None
    """What file names say, `{label}_{speaker}_{index}`."""
    hold_out: Mapping[str, Sequence[str]] = {}
    """Column -> values whose recordings are the test split."""


class Recording(NamedTuple):
    """One recording: its path under the root, what is said of it by column, and its size and time."""

    name: str
    said: Mapping[str, str]
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Recordings:
    """All recordings of a task, sorted by name."""

    root: Path
    columns: tuple[str, ...]
    """What the task asks of each: its outputs, and what it is chosen by."""
    splits: dict[str, list[Recording]]
    """train, test, and validation where there is one."""

    def digest(self) -> str:
        """A digest of splits, what is said of each recording, names, sizes and times."""
        lines = (
            "\0".join(
                [split, *(file.said[column] for column in self.columns), file.name, f"{file.size}\0{file.mtime_ns}"]
            )
            for split, files in self.splits.items()
            for file in files
        )
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def only(self, chosen: Mapping[str, Collection[str]]) -> Recordings:
        """Those whose columns have one of the values. Raises DataError where too few are left to train or to test."""
        if not chosen:
            return self
        said = {
            split: {column: np.array([file.said[column] for file in files], str) for column in chosen}
            for split, files in self.splits.items()
        }
        splits = {split: [self.splits[split][place] for place in own] for split, own in kept(chosen, said).items()}
        return Recordings(self.root, self.columns, splits)

    def texts(self, column: str, split: str = "train") -> list[str]:
        """What is said of each recording of a split."""
        return [file.said[column] for file in self.splits[split]]


def list_recordings(place: Place, columns: Collection[str]) -> Recordings:
    """The recordings of root/SPLIT/CLASS, those that a manifest lists, or all below the root, as their names say.

    columns: what is asked of each. Raises DataError where folders, columns or files are not there, or a split would be
    empty.
    """
    root = place.root
    if not root.is_dir():
        raise DataError(f"there is no folder '{root}'; name the one with the recordings.")
    asked = tuple(dict.fromkeys([*columns, *place.hold_out]))
    splits: dict[str, list[Recording]] = {}
    for row in sorted(_rows(place, asked), key=lambda row: row["file"]):
        splits.setdefault(row["split"], []).append(_recording(root, row, asked))
    for split in ("train", "test"):
        if not splits.get(split):
            raise DataError(f"no recording of '{root}' is in the {split} split; put some there.")
    return Recordings(root, asked, {split: splits[split] for split in SPLITS if split in splits})


def _recording(root: Path, row: Mapping[str, str], columns: Sequence[str]) -> Recording:
    try:
        found = (root / row["file"]).stat()
    except OSError as error:
        raise DataError(f"cannot read '{root / row['file']}' ({error.strerror}); mend the manifest.") from None
    return Recording(row["file"], {name: row[name] for name in columns}, found.st_size, found.st_mtime_ns)


def _rows(place: Place, columns: Collection[str]) -> Iterator[dict[str, str]]:
    """Every recording's `file`, `split` and columns."""
    if place.manifest is not None:
        return _listed(place, place.root / Path(place.manifest).expanduser(), columns)
    if place.pattern is not None:
        return _named(place, place.pattern, columns)
    if unknown := sorted(set(columns) - {"label"}):
        raise DataError(
            f"folders of classes say the label of a recording and no '{unknown[0]}'; list the recordings in a "
            "`manifest` with that column, or say in `pattern` what their names mean."
        )
    return _in_folders(place.root)


def _in_folders(root: Path) -> Iterator[dict[str, str]]:
    """Every recording below root/SPLIT/CLASS."""
    for split in SPLITS:
        folder = root / split
        if split != "validation" and not folder.is_dir():
            raise DataError(
                f"there is no folder '{folder}': recordings lie in train/CLASS/ and test/CLASS/, or a manifest lists "
                "them (`manifest: FILE.csv` with the columns file and label)."
            )
        for path in _recordings(folder, "*/**/*"):
            label = path.relative_to(folder).parts[0]
            yield {"split": split, "label": label, "file": path.relative_to(root).as_posix()}


def _recordings(folder: Path, below: str) -> Iterable[Path]:
    return (p for p in sorted(folder.glob(below)) if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _named(place: Place, pattern: str, columns: Collection[str]) -> Iterator[dict[str, str]]:
    """Every recording below the root, by its name without the ending."""
    parts = PART.findall(pattern)
    for column in columns:
        if column not in parts:
            raise DataError(f"the pattern '{pattern}' has no {{{column}}}. {nearest(column, parts)}")
    literal = [re.escape(text) for text in PART.split(pattern)[::2]]
    fields = [f"(?P<{part}>.+?)" for part in parts] + [""]
    form = re.compile("".join(text + field for text, field in zip(literal, fields, strict=True)))
    found = False
    for path in _recordings(place.root, "**/*"):
        matched = form.fullmatch(path.stem)
        if matched is None:
            raise DataError(f"'{path}' is not named as the pattern '{pattern}' says; mend it, or use a manifest.")
        row = matched.groupdict()
        found = True
        yield {**row, "file": path.relative_to(place.root).as_posix(), "split": _split_of(row, place, str(path))}
    if not found:
        raise DataError(f"there is no recording ({' or '.join(SUFFIXES)}) below '{place.root}'; name another folder.")


def _listed(place: Place, path: Path, columns: Collection[str]) -> Iterator[dict[str, str]]:
    """Every row of a manifest."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the manifest '{path}' ({error}); it is a CSV file with a header.") from None
    if not rows:
        raise DataError(f"the manifest '{path}' has no row behind its header; list recordings in it.")
    for column in ("file", *columns):
        if column not in rows[0]:
            raise DataError(f"the manifest '{path}' has no column '{column}'. {nearest(column, list(rows[0]))}")
    if "split" not in rows[0] and not place.hold_out:
        raise DataError(
            f"the manifest '{path}' has no column 'split' (train, validation, test); add one, or say in `hold_out` "
            "whose recordings are for the test."
        )
    for number, row in enumerate(rows, start=2):
        empty = next((column for column in ("file", *columns) if not row[column]), None)
        if empty is not None:
            raise DataError(f"'{path}', row {number}: a {empty} was expected, and there is none.")
        yield {**row, "split": _split_of(row, place, f"{path}', row {number}")}


def _split_of(row: Mapping[str, str], place: Place, where: str) -> str:
    if any(row[column] in values for column, values in place.hold_out.items()):
        return "test"
    split = row.get("split") or "train"
    if split not in SPLITS:
        raise DataError(f"'{where}: the split is one of {', '.join(SPLITS)}, got '{split}'.")
    return "train" if place.hold_out and split == "test" else split
