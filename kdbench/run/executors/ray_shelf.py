"""The run's store as nodes reach it that do not see its folder: files pass through Ray's object store, in pieces.

The shelf is an actor on the node where the store lies. It gives out finished stages and checkpoints, and takes in what
was made elsewhere: published there as any worker publishes, whole and with the digests that were sent with it.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from kdbench.errors import StoreError
from kdbench.files import sha256_of
from kdbench.stages.names import CHECKPOINT, PROGRESS
from kdbench.stages.store import Manifest, Store

PIECE_BYTES = 8 * 2**20
"""How much of a file passes at once: what a node holds in memory of it."""
CHECKPOINTS = f"{CHECKPOINT}*.pt"
"""Files that a training goes on from; each is whole by itself."""


class Shelf:
    """Every method is called from other nodes. Raises OSError where the disk is full or cannot be read."""

    def __init__(self, root: str) -> None:
        self._store = Store(Path(root))
        self._open: dict[str, FileLock] = {}
        """Place that files are sent to -> what keeps others from clearing it."""

    def manifest(self, key: str) -> Manifest:
        """File -> (size, SHA-256) of a finished stage."""
        return self._store.manifest(key)

    def piece(self, key: str, name: str, start: int) -> bytes:
        """Some bytes of a file of a finished stage."""
        return piece_of(self._store.folder(key) / name, start)

    def checkpoints(self, key: str) -> dict[str, int]:
        """File -> size, of the checkpoints that a lost worker left of a stage."""
        return {path.name: path.stat().st_size for path in self._store.scratch_folder(key).glob(CHECKPOINTS)}

    def checkpoint_piece(self, key: str, name: str, start: int) -> bytes:
        """Some bytes of a checkpoint."""
        return piece_of(self._store.scratch_folder(key) / name, start)

    def has(self, key: str) -> bool:
        """Whether a stage is finished."""
        return self._store.has(key)

    def begin(self, key: str) -> str:
        """A place for files of a stage, by the name of which they are sent."""
        place = f"{key}-{secrets.token_hex(8)}"
        self._open[place] = lock = FileLock(self._store.root / "locks" / f"{place}.lock", thread_local=False)
        lock.acquire()
        self._store.scratch(place)
        return place

    def _end(self, place: str) -> None:
        lock = self._open.pop(place)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)

    def write(self, place: str, name: str, piece: bytes) -> None:
        """Put bytes behind those that a file has."""
        path = self._store.scratch_folder(place) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            file.write(piece)

    def publish(self, key: str, place: str, manifest: Manifest) -> None:
        """Make what was sent the finished stage, unless there is one. Raises StoreError for files that were torn."""
        folder = self._store.scratch_folder(place)
        try:
            check_whole(folder, manifest)
            with self._store.claim(key):
                if not self._store.has(key):
                    shutil.rmtree(self._store.scratch_folder(key), ignore_errors=True)
                    folder.rename(self._store.scratch_folder(key))
                    self._store.publish(key)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._end(place)

    def keep_checkpoint(self, key: str, place: str) -> None:
        """Make what was sent the checkpoints from which a stage goes on whose worker is lost."""
        folder, kept = self._store.scratch_folder(place), self._store.scratch(key)
        for path in folder.iterdir():
            os.replace(path, kept / path.name)
        folder.rmdir()
        self._end(place)

    def note_progress(self, key: str, text: str) -> None:
        """How far a stage is, for the run's display."""
        with suppress(OSError):
            (self._store.scratch(key) / PROGRESS).write_text(text, encoding="utf-8")

    def fail(self, key: str, log: str) -> None:
        """Keep a failed stage's log."""
        self._store.fail(key, log)


def piece_of(path: Path, start: int) -> bytes:
    """The bytes of a file from a place on, PIECE_BYTES at most."""
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(PIECE_BYTES)


def check_whole(folder: Path, manifest: Manifest) -> None:
    """Raises StoreError where a file is not what its manifest says."""
    for name, (size, sha256) in manifest.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size or sha256_of(path) != sha256:
            raise StoreError(f"'{name}' did not arrive whole on its way between two nodes; run again.")
