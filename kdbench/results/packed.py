"""Files of a results folder in one zip file, behind a manifest that lists them. Knows no record and judges nothing.

Such a file may come from anybody: nothing is unpacked that its manifest does not list with size and SHA-256, nothing
outside the folder it is unpacked to, and no more than there is room for.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import StoreError, Unreadable
from kdbench.files import Archive, sha256_of, within, write_archive

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 16 * 2**20
MOST_BYTES = 16 * 2**30
"""The most that all files of one packed file may take together, unpacked."""
Members = Mapping[str, bytes | Path]
"""Path within the folder -> what lies there."""


@dataclass(frozen=True)
class Packing:
    """One sort of packed file: how it is told from others, and what messages call it."""

    noun: str
    format: int
    wanted: str
    """What to give in place of a file that is none, in words that go on after "give"."""
    maker: str
    """The verb that writes such files."""
    fewer: str
    """What helps where there is no room to unpack one, in words that go on after "make room, or"."""

    def write(self, path: Path, head: Mapping[str, Any], members: Members) -> dict[str, Any]:
        """Write the file; its manifest, which is `head` with the list of members. The same input gives the same bytes.

        Raises StoreError where it cannot be written.
        """
        files = {name: _listed(members[name]) for name in sorted(members)}
        manifest = {"format": self.format, **head, "files": files}
        try:
            write_archive(path, {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}, compressed=True)
        except OSError as error:
            raise StoreError(f"cannot write '{path}' ({error.strerror}); give another file with -o.") from None
        return manifest

    def manifest(self, path: Path) -> dict[str, Any]:
        """The manifest of a file. Raises StoreError where it is no such file, or of another format."""
        with self._archive(path) as archive:
            return self._checked(path, archive)

    def unpack(self, path: Path, folder: Path) -> dict[str, Any]:
        """Write a file's members into a folder that has none of them; its manifest. Raises StoreError."""
        with self._archive(path) as archive:
            manifest = self._checked(path, archive)
            total = sum(entry["bytes"] for entry in manifest["files"].values())
            if total > min(MOST_BYTES, shutil.disk_usage(folder).free):
                raise StoreError(
                    f"'{path}' unpacks to {total:,} bytes, more than there is room for; make room, or {self.fewer}."
                )
            for name, entry in manifest["files"].items():
                archive.copy(name, within(folder, name), entry["bytes"], entry["sha256"])
            return manifest

    def damaged(self, path: Path, what: str) -> StoreError:
        """The error that says what is wrong with a file."""
        return StoreError(f"'{path}' is damaged: {what}; save it again with `{self.maker}`.")

    @contextmanager
    def _archive(self, path: Path) -> Iterator[Archive]:
        """The open file. Turns whatever is wrong with it into a StoreError."""
        if not path.exists():
            raise StoreError(f"there is no '{path}'; give {self.wanted}.")
        try:
            archive = Archive(path)
        except Unreadable as error:
            raise StoreError(f"'{path}' is no {self.noun} ({error}); give {self.wanted}.") from None
        with archive:
            try:
                yield archive
            except Unreadable as error:
                raise self.damaged(path, str(error)) from None

    def _checked(self, path: Path, archive: Archive) -> dict[str, Any]:
        """The manifest. Raises StoreError or Unreadable where it, or the list of members, is not what `write` makes."""
        manifest = _json(archive.read(MANIFEST, MOST_MANIFEST_BYTES))
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise Unreadable("its manifest lists no files")
        if manifest.get("format") != self.format:
            raise StoreError(
                f"'{path}' is a {self.noun} of format {manifest.get('format')!r}, and this kdbench reads format "
                f"{self.format}; save it again."
            )
        if archive.names != {MANIFEST, *manifest["files"]}:
            raise Unreadable("it does not hold the files that its manifest lists")
        for name, entry in manifest["files"].items():
            if not _is_entry(entry):
                raise Unreadable(f"its manifest does not say how large '{name}' is")
        return manifest


def _listed(member: bytes | Path) -> dict[str, Any]:
    if isinstance(member, bytes):
        return {"sha256": hashlib.sha256(member).hexdigest(), "bytes": len(member)}
    return {"sha256": sha256_of(member), "bytes": member.stat().st_size}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"its manifest is not JSON: {error}") from None


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return False
    count = entry.get("bytes")
    return isinstance(count, int) and not isinstance(count, bool) and count >= 0
