"""Files: names that stay in their folder, files written whole or not at all, others' files read within limits.

A record, a bundle, a suite or a results folder may come from anybody. What it says becomes part of a path through
`slug` or `within` alone, and its archives and arrays are read by `Archive` and `read_arrays`. The measuring program
packs this module too, so it needs Python 3.9 and the standard library (numpy where arrays are read).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Callable, Union

from kdbench.errors import Unreadable

CHUNK = 2**20
LONGEST_NAME = 80
"""Bytes of a file name made from somebody's text; systems allow 255, and endings are added to it."""
UNFINISHED = ".unfinished"
"""Ends the name of a file or folder that is being written."""
MOST_ARRAY_BYTES = 16 * 2**30
"""The most that all arrays of one .npz may take together, unpacked."""

READING = (OSError, EOFError, ValueError, KeyError, RuntimeError, MemoryError, OverflowError, SyntaxError, TypeError,
           struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip
"""What zipfile and numpy raise for files that are damaged or were made to harm (NotImplementedError is a
RuntimeError)."""

Content = Union[str, bytes, Callable[[Path], object]]
"""Text (written as UTF-8), bytes, or a function that writes the file at the path it is given."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file's bytes, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with open(regular(path), "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def regular(path: Path) -> Path:
    """The path itself, of a regular file. Raises OSError for what could be read for ever: a FIFO, a device."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(None, "it is a folder" if path.is_dir() else "it is no regular file", str(path))
    return path


def slug(name: str) -> str:
    """A text from anywhere as the name of one file or folder: itself where it is plain, else with a digest of it.

    Two texts never share a slug, and none leads out of its folder.
    """
    plain = re.sub(r"[^\w.+-]+", "-", name)
    short = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
    if short == name and name.strip("."):
        return name
    return f"{short}-{hashlib.sha256(json.dumps(name).encode()).hexdigest()[:6]}"


def within(folder: Path, name: str) -> Path:
    """The place of the relative path `name`, as a record or manifest gives it ("models/a.onnx"), in a folder.

    Raises Unreadable for one that leads elsewhere, on any system, by itself or by a link.
    """
    parts = name.split("/")
    if not name or set(name) & set("\\:\0") or {"", ".", ".."} & set(parts):
        raise Unreadable(f"{name!r} is no path within a folder")
    place = folder.joinpath(*parts)
    if not place.resolve().is_relative_to(folder.resolve()):
        raise Unreadable(f"{name!r} leads out of its folder by a link")
    return place


def free_bytes(path: Path) -> int:
    """How much room the disk has on which a path lies, or would lie."""
    while not path.exists():
        path = path.absolute().parent
    return shutil.disk_usage(path).free


def write_whole(path: Path, content: Content) -> Path:
    """Write a file so that it is there whole or not at all, whatever stops the writing; folders above it are made.

    Raises OSError, and whatever a function given as `content` raises; nothing half-written is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name[:LONGEST_NAME]}.{os.getpid()}{UNFINISHED}")
    try:
        if callable(content):
            content(unfinished)
        else:
            unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    return path


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A scratch folder beside `path` whose files move there when the context ends well; else nothing is left of it.

    `path` is a folder that is empty or not there yet. Raises OSError, FileExistsError where it holds something.
    """
    path = path.absolute()
    if path.is_dir() and any(path.iterdir()):
        raise FileExistsError(None, "it is not empty", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name[:LONGEST_NAME]}.{os.getpid()}{UNFINISHED}")
    scratch.mkdir()
    try:
        yield scratch
        path.mkdir(exist_ok=True)
        for each in scratch.iterdir():
            os.replace(each, path / each.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_archive(path: Path, members: Mapping[str, bytes | Path], compressed: bool = False) -> Path:
    """Write a zip file of members, given as bytes or as files; the same members always give the same bytes."""
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED

    def write(place: Path) -> None:
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in sorted(members.items()):
                member = zipfile.ZipInfo(name)  # its default date is a constant, 1980
                member.compress_type, member.external_attr = kind, 0o644 << 16
                archive.writestr(member, data if isinstance(data, bytes) else regular(data).read_bytes())

    return write_whole(path, write)


class Archive:
    """A zip file that anybody may have made. Every method raises Unreadable with the reason where it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(regular(path))
        except READING as error:
            raise Unreadable(reason(error)) from None
        members = self._archive.infolist()
        self.names = frozenset(member.filename for member in members)
        if len(self.names) != len(members):
            self.close()
            raise Unreadable("it has a member twice")

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._archive.close()

    def read(self, name: str, most_bytes: int, sha256: str | None = None) -> bytes:
        """One member of at most so many bytes, whose SHA-256 is as given."""
        return b"".join(self._chunks(name, most_bytes, sha256))

    def copy(self, name: str, place: Path, byte_count: int, sha256: str) -> Path:
        """One member of exactly so many bytes with that SHA-256 as a new file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "xb") as target:
            written = sum(target.write(chunk) for chunk in self._chunks(name, byte_count, sha256))
        if written != byte_count:
            raise Unreadable(f"'{name}' has {written:,} bytes, not {byte_count:,}")
        return place

    def _chunks(self, name: str, most_bytes: int, sha256: str | None) -> Iterator[bytes]:
        """The member in pieces. A few bytes may unpack to a full disk, so no more is unpacked than may be there."""
        if name not in self.names:
            raise Unreadable(f"it lacks '{name}'")
        digest, left = hashlib.sha256(), most_bytes
        try:
            with self._archive.open(name) as source:
                while chunk := source.read(min(CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        raise Unreadable(f"'{name}' is larger than {most_bytes:,} bytes")
                    digest.update(chunk)
                    yield chunk
        except READING as error:
            raise Unreadable(f"'{name}' cannot be read: {reason(error)}") from None
        if sha256 is not None and digest.hexdigest() != sha256:
            raise Unreadable(f"'{name}' was changed after it was made: its SHA-256 is another")


def read_arrays(path: Path, most_bytes: int = MOST_ARRAY_BYTES) -> dict[str, Any]:
    """Every array of an .npz by its name, whoever wrote it. Raises Unreadable."""
    try:
        with open(regular(path), "rb") as file:
            return arrays_of(file, most_bytes)
    except OSError as error:
        raise Unreadable(reason(error)) from None


def arrays_of(file: BinaryIO, most_bytes: int = MOST_ARRAY_BYTES) -> dict[str, Any]:
    """Every array of an .npz that is open, or lies in memory. Raises Unreadable."""
    import numpy

    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > most_bytes:
                raise Unreadable(f"it unpacks to more than {most_bytes:,} bytes")
        file.seek(0)
        with numpy.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except READING as error:
        raise Unreadable(reason(error)) from None


def npz_bytes(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as a compressed .npz; the same arrays always give the same bytes."""
    import numpy

    file = io.BytesIO()
    numpy.savez_compressed(file, **arrays)
    return file.getvalue()


def reason(error: BaseException) -> str:
    """What an exception says, in a few words without a full stop: the system's words for its errors."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0].rstrip(".")
