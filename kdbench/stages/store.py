"""The stage store: one folder a finished stage, named by its key. A folder that exists is complete.

Layout under the root:
  stages/ab/KEY/     what a stage published, with manifest.json (size and SHA-256 of each file)
  scratch/KEY/       a stage at work, or what a killed one left to resume from
  locks/KEY.lock     held while a stage is worked on; the system frees it when its holder dies
  failed/KEY.txt     log and traceback of the last failure of a stage; never a result
  repeats/KEY.txt    how often a stage was asked for afresh, KEY being that of the first time
  kin/KIN/KEY        an empty note: the stage KEY has results that others of its kin may take from it
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdbench.errors import DamagedStage, StoreError
from kdbench.files import sha256_of, write_whole
from kdbench.stages.names import PROGRESS, STAGE

MANIFEST = "manifest.json"
Manifest = dict[str, tuple[int, str]]
"""File -> (size, SHA-256)."""
DAMAGED = "damaged"
"""The kind of an entry that no longer says what it is."""


@dataclass(frozen=True)
class Entry:
    """A finished stage as `kdbench store` lists it."""

    key: str
    kind: str
    byte_count: int
    used_at: float
    """Seconds since the epoch: when it was last published or reused."""


class Store:
    """Finished stages by key. Safe for several runs at once."""

    def __init__(self, root: Path) -> None:
        """Open or create a store. Raises StoreError where it cannot be written."""
        self.root = root
        with self._writing():
            for part in ("stages", "scratch", "locks", "failed", "repeats", "kin"):
                (root / part).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns an OSError into a sentence, for what a verb writes; workers make theirs of what they meet."""
        try:
            yield
        except Timeout:  # an OSError, too
            raise
        except OSError as error:
            raise StoreError(
                f"cannot write the store '{self.root}' ({error.strerror or error}); name another folder with --store."
            ) from None

    def folder(self, key: str) -> Path:
        """Where a finished stage lies, or would."""
        return self.root / "stages" / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether a stage is finished and every file has the size its manifest says."""
        try:
            sizes = {name: size for name, (size, _) in self.manifest(key).items()}
            return all((self.folder(key) / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError):
            return False

    def verify(self, key: str) -> None:
        """Compare every file of a finished stage with its digest. Raises DamagedStage."""
        try:
            manifest = self.manifest(key)
            for name, (_, sha256) in manifest.items():
                if sha256_of(self.folder(key) / name) != sha256:
                    raise DamagedStage(key, f"'{self.folder(key) / name}' is not what was stored.")
        except (OSError, ValueError) as error:
            raise DamagedStage(key, f"'{self.folder(key)}' is damaged ({error}).") from None

    def touch(self, key: str) -> None:
        """Note that a stage was used now, for `older_than`; a store that may only be read keeps no such note."""
        with suppress(OSError):
            os.utime(self.folder(key) / MANIFEST)

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold a stage's lock; blocks while another worker has it."""
        with FileLock(self.root / "locks" / f"{key}.lock"):
            yield

    def scratch(self, key: str) -> Path:
        """The folder to work in; call it with the claim held. What a killed worker left in it is still there."""
        folder = self.scratch_folder(key)
        folder.mkdir(exist_ok=True)
        return folder

    def scratch_folder(self, key: str) -> Path:
        """Where a stage is worked on, or would be."""
        return self.root / "scratch" / key

    def progress(self, key: str) -> float | None:
        """How far a stage at work says it is, 0 to 1; None where it says nothing."""
        try:
            return float((self.scratch_folder(key) / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def publish(self, key: str) -> Path:
        """Make a stage's scratch folder its finished one, at once and whole."""
        scratch, folder = self.scratch(key), self.folder(key)
        files = sorted(path for path in scratch.rglob("*") if path.is_file())
        manifest = {path.relative_to(scratch).as_posix(): [path.stat().st_size, sha256_of(path)] for path in files}
        (scratch / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        folder.parent.mkdir(exist_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
        (self.root / "failed" / f"{key}.txt").unlink(missing_ok=True)
        return folder

    def fail(self, key: str, log: str) -> Path:
        """Keep a failed stage's log and nothing else; returns where."""
        place = self.root / "failed" / f"{key}.txt"
        place.write_text(log, encoding="utf-8")
        shutil.rmtree(self.scratch_folder(key), ignore_errors=True)
        return place

    def note_kin(self, kin: str, key: str) -> None:
        """Note that others of a kin may take from a stage; a store that may only be read keeps no such note."""
        with suppress(OSError):
            (self.root / "kin" / kin).mkdir(exist_ok=True)
            (self.root / "kin" / kin / key).touch()

    def kin(self, kin: str) -> list[str]:
        """The finished stages of a kin."""
        try:
            return [key for key in sorted(os.listdir(self.root / "kin" / kin)) if self.has(key)]
        except OSError:
            return []

    def discard(self, key: str) -> None:
        """Remove a finished stage, unless a worker has it."""
        try:
            with FileLock(self.root / "locks" / f"{key}.lock", timeout=0):
                shutil.rmtree(self.folder(key), ignore_errors=True)
        except Timeout:
            return

    def repeat(self, key: str) -> int:
        """How often a stage was asked for afresh since its first time, whose key this is."""
        try:
            return int((self.root / "repeats" / f"{key}.txt").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    def ask_again(self, key: str) -> int:
        """Note that a stage is asked for afresh; the number of this time, which nobody else gets.

        Raises StoreError where the store cannot be written.
        """
        with self._writing(), self.claim(key):
            number = self.repeat(key) + 1
            place = self.root / "repeats" / f"{key}.txt"
            write_whole(place, str(number))
        return number

    def read_json(self, key: str, name: str) -> Any:
        """A JSON file of a finished stage. Raises DamagedStage where it is not there or no JSON."""
        path = self.folder(key) / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DamagedStage(key, f"'{path}' is damaged ({error}); run the same command again.") from None

    def entries(self) -> list[Entry]:
        """Every finished stage, largest first."""
        found = [self._entry(manifest.parent) for manifest in self.root.glob(f"stages/*/*/{MANIFEST}")]
        return sorted(found, key=lambda entry: -entry.byte_count)

    def remove_scratch(self) -> int:
        """Clear what killed runs left behind, except what a worker has now; returns the bytes freed.

        Raises StoreError where the store cannot be written.
        """
        freed = 0
        for folder in (self.root / "scratch").iterdir():
            try:
                with self._writing(), FileLock(self.root / "locks" / f"{folder.name}.lock", timeout=0):
                    freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                    shutil.rmtree(folder)
            except Timeout:
                continue
        return freed

    def manifest(self, key: str) -> Manifest:
        """What a finished stage published. Raises OSError, ValueError for a manifest that says something else."""
        manifest = json.loads((self.folder(key) / MANIFEST).read_text(encoding="utf-8"))
        try:
            return {str(name): (int(size), str(sha256)) for name, (size, sha256) in manifest.items()}
        except (AttributeError, TypeError):
            raise ValueError("its manifest lists no files") from None

    def _entry(self, folder: Path) -> Entry:
        used_at = (folder / MANIFEST).stat().st_mtime
        try:
            byte_count = sum(size for size, _ in self.manifest(folder.name).values())
            kind = str(self.read_json(folder.name, STAGE)["spec"]["kind"])
        except (OSError, ValueError, DamagedStage, LookupError, TypeError):
            byte_count, kind = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()), DAMAGED
        return Entry(folder.name, kind, byte_count, used_at)


def older_than(entries: list[Entry], days: float) -> list[Entry]:
    """The entries that were last used more than `days` days ago."""
    limit = time.time() - days * 86400
    return [entry for entry in entries if entry.used_at < limit]
