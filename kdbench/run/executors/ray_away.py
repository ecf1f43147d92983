"""Stages at work on a node that does not see the run's store: in a store of its own, filled from the run's shelf."""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.errors import KdbenchError
from kdbench.run.executors.ray_shelf import CHECKPOINTS, PIECE_BYTES, check_whole, piece_of
from kdbench.stages.failure_text import sentence
from kdbench.stages.names import PROGRESS
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome, run_stages
from kdbench.timing.probe import cache_folder

KEEP_BYTES = 20 * 2**30
"""How much a node keeps of what it fetched and made; what was not used for longest goes first."""
SECONDS_BETWEEN = 2.0
"""How often progress, checkpoints and finished stages of a group are sent while others are at work."""


def run_on_node(texts: list[str], root: str, token: str, shelf: Any) -> list[Outcome]:
    """`run_stages`, wherever the store lies: on a node that does not see it, what is needed is fetched and sent back.

    token: the name of a file in the store's folder of locks that this run put there; shelf: a handle of its `Shelf`.
    """
    if (Path(root) / "locks" / token).exists():
        return run_stages(texts, root)
    import ray

    lost = (KdbenchError, OSError, ray.exceptions.RayError)
    specs = [StageSpec.from_json(text) for text in texts]
    try:
        return Away(shelf, Store(cache_folder() / "nodes" / Path(token).stem), ray.get, lost).run(specs)
    except lost as error:
        cause = getattr(error, "cause", None) or error
        return [Outcome(spec.key, "failed", sentence(cause)) for spec in specs]


class Away:
    """One list of stages on such a node."""

    def __init__(
        self, shelf: Any, store: Store, get: Callable[[Any], Any], lost: tuple[type[Exception], ...] = (OSError,)
    ) -> None:
        """store: the node's own; get: waits for what a method of the shelf gives; lost: what it then may raise."""
        self._shelf, self._store, self._get, self._lost = shelf, store, get, lost
        self._sent: dict[Path, int] = {}
        """Checkpoint -> when the one was changed that was sent last."""

    def run(self, specs: list[StageSpec]) -> list[Outcome]:
        """Fetch, work, send back. Raises KdbenchError, OSError, and what the shelf raises."""
        keys = [spec.key for spec in specs]
        needed = {key for spec in specs for key in spec.inputs.values()} - {*keys}
        self._make_room({*needed, *keys})
        for key in sorted(needed):
            self._fetch(key)
        for key in keys:
            self._fetch_checkpoints(key)
        outcomes = self._work(specs)
        return [self._told(outcome) for outcome in outcomes]

    def _make_room(self, needed: set[str]) -> None:
        entries = sorted(self._store.entries(), key=lambda entry: entry.used_at)
        total = sum(entry.byte_count for entry in entries)
        for entry in entries:
            if total > KEEP_BYTES and entry.key not in needed:
                self._store.discard(entry.key)
                total -= entry.byte_count

    def _fetch(self, key: str) -> None:
        with self._store.claim(key):
            if self._store.has(key):
                self._store.touch(key)
                return
            manifest, scratch = self._get(self._shelf.manifest.remote(key)), self._store.scratch(key)
            shutil.rmtree(scratch)
            for name, (size, _) in manifest.items():
                self._copy(scratch / name, size, partial(self._shelf.piece.remote, key, name))
            check_whole(scratch, manifest)
            self._store.publish(key)

    def _fetch_checkpoints(self, key: str) -> None:
        """What a lost worker left elsewhere, unless one left something here."""
        with self._store.claim(key):
            scratch = self._store.scratch(key)
            if any(scratch.glob(CHECKPOINTS)) or self._store.has(key):
                return
            for name, size in self._get(self._shelf.checkpoints.remote(key)).items():
                unfinished = scratch / f"fetched-{name}"
                self._copy(unfinished, size, partial(self._shelf.checkpoint_piece.remote, key, name))
                unfinished.rename(scratch / name)

    def _copy(self, path: Path, size: int, ask: Callable[[int], Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for start in range(0, size, PIECE_BYTES):
                file.write(self._get(ask(start)))

    def _work(self, specs: list[StageSpec]) -> list[Outcome]:
        """Run the stages, and tell the run how far they are meanwhile."""
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(SECONDS_BETWEEN):
                with suppress(*self._lost):  # it is met again when the stages are sent
                    for spec in specs:
                        self._tell(spec.key)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            return run_stages([spec.to_json() for spec in specs], str(self._store.root))
        finally:
            ended.set()
            teller.join()

    def _tell(self, key: str) -> None:
        """Send a finished stage of a group, else how far it is and its newest checkpoints."""
        if self._store.has(key):
            self._send(key)
            return
        scratch = self._store.scratch_folder(key)
        if (scratch / PROGRESS).exists():
            self._shelf.note_progress.remote(key, (scratch / PROGRESS).read_text(encoding="utf-8"))
        changed = {path: path.stat().st_mtime_ns for path in scratch.glob(CHECKPOINTS)}
        newer = [path for path, at in changed.items() if self._sent.get(path) != at]
        if newer:
            self._get(self._shelf.keep_checkpoint.remote(key, self._sent_files(key, newer, scratch)))
            self._sent |= {path: changed[path] for path in newer}

    def _told(self, outcome: Outcome) -> Outcome:
        """An outcome, once the run's store has what it tells of."""
        if outcome.status == "failed":
            self._get(self._shelf.fail.remote(outcome.key, outcome.log))
        else:
            self._send(outcome.key)
        return outcome

    def _send(self, key: str) -> None:
        if self._get(self._shelf.has.remote(key)):
            return
        manifest, folder = self._store.manifest(key), self._store.folder(key)
        place = self._sent_files(key, [folder / name for name in manifest], folder)
        self._get(self._shelf.publish.remote(key, place, manifest))

    def _sent_files(self, key: str, paths: Iterable[Path], below: Path) -> str:
        """Send files of a folder; the place where they lie then."""
        place: str = self._get(self._shelf.begin.remote(key))
        for path in paths:
            name = path.relative_to(below).as_posix()
            for start in range(0, max(1, path.stat().st_size), PIECE_BYTES):
                self._get(self._shelf.write.remote(place, name, piece_of(path, start)))
        return place
