"""What lies at a place, a file or a folder, as one digest: how a key knows that data changed."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kdbench.files import sha256_of

RESULTS = "records.jsonl"
"""A folder that holds this is a run's results: it is written by kdbench and is nobody's data."""
LARGE = 2**30
"""Bytes above which a file is not read for its digest."""


def content_digest(place: Path) -> str | None:
    """A digest of what lies at a place; None where there is neither a file nor a folder to read.

    A file counts by its bytes, one of more than 1 GiB by size and time. A folder counts by the names, sizes and times
    of all regular files below it, links followed, as reading many gigabytes of recordings would take minutes. A copy
    that keeps times (rsync -a, tar) has the same digest. Hidden entries, byte code and results of kdbench are passed
    over. A folder that holds everything (the home folder, that of temporary files, one around the current folder) has
    no digest.
    """
    try:
        if place.is_file():
            found = place.stat()
            large = f"{found.st_size} {found.st_mtime_ns}" if found.st_size > LARGE else ""
            return hashlib.sha256(large.encode()).hexdigest() if large else sha256_of(place)
        if not place.is_dir() or _holds_everything(place.resolve()):
            return None
        listing = hashlib.sha256()
        for line in sorted(_lines(place)):
            listing.update(line)
        return listing.hexdigest()
    except (OSError, ValueError):  # unreadable, or no possible path
        return None


def _holds_everything(folder: Path) -> bool:
    # expanduser leaves "~" where no home folder is known
    wide = (Path("~").expanduser(), Path(tempfile.gettempdir()))
    return any(place.resolve().is_relative_to(folder) for place in (*wide, Path.cwd().parent))


def _lines(root: Path) -> Iterator[bytes]:
    seen: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(root, followlinks=True):
        own = os.stat(at)
        if RESULTS in names or (own.st_dev, own.st_ino) in seen:  # the latter by a link that leads back
            folders.clear()
            continue
        seen.add((own.st_dev, own.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in names:
            place = Path(at, name)
            if not name.startswith(".") and place.is_file():
                found = place.stat()
                line = f"{place.relative_to(root).as_posix()}\0{found.st_size}\0{found.st_mtime_ns}\n"
                yield line.encode("utf-8", "surrogateescape")
