"""One call of a worker: claim stages by key, work in their scratch, publish; failures come back as sentences."""

import contextlib
import errno
import json
import logging
import os
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kdbench import stages
from kdbench.errors import KdbenchError
from kdbench.stages.names import CHECKPOINT, LOG, PROGRESS, RECORDS, STAGE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import Fact, Work


@dataclass(frozen=True)
class Outcome:
    """How one stage ended: "done", "reused" (another run finished it first) or "failed" with its reason."""

    key: str
    status: str
    reason: str = ""
    log: str = ""
    """Path of the log, for a failed stage."""
    wall_seconds: float = 0.0


def run_stages(texts: list[str], root: str) -> list[Outcome]:
    """Work on the stages of these specs (JSON) that the store at `root` does not have; one outcome each, in order.

    Stages are claimed in the order of their keys, so that two runs never wait for each other.
    """
    store = Store(Path(root))
    specs = [StageSpec.from_json(text) for text in texts]
    outcomes = {}
    with ExitStack() as claims:
        for spec in sorted(specs, key=lambda spec: spec.key):
            claims.enter_context(store.claim(spec.key))
        for spec in specs:
            if store.has(spec.key):
                outcomes[spec.key] = Outcome(spec.key, "reused")
        pending = [spec for spec in specs if spec.key not in outcomes]
        for group in _groups(pending):
            outcomes |= {outcome.key: outcome for outcome in _run(group, store)}
    return [outcomes[spec.key] for spec in specs]


def _groups(specs: list[StageSpec]) -> list[list[StageSpec]]:
    """Files to measure go round together; every other stage stands alone."""
    together = [spec for spec in specs if spec.kind == "measure"]
    alone = [[spec] for spec in specs if spec.kind != "measure"]
    return [*alone, together] if together else alone


def _run(specs: list[StageSpec], store: Store) -> list[Outcome]:
    """One outcome each; a stage of a group is published as soon as its own facts are there."""
    begin = time.perf_counter()
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as logs:
        works = {spec.key: logs.enter_context(_work(spec, store)) for spec in specs}
        try:
            for key, facts in _facts(list(works.values())):
                wall = (time.perf_counter() - begin) / len(works)
                outcomes[key] = _finish(works[key], store, facts, wall)
        except Exception as error:  # the one boundary where a stage's failure, whatever it is, becomes a sentence
            wall = time.perf_counter() - begin
            for key in works.keys() - outcomes.keys():
                outcomes[key] = _fail(works[key], store, error, wall)
    return list(outcomes.values())


def _facts(works: list[Work]) -> Iterator[tuple[str, list[Fact] | KdbenchError]]:
    kind = works[0].spec.kind
    if kind == "measure":
        yield from stages.function(kind)(works)
    else:
        yield works[0].spec.key, stages.function(kind)(works[0])


def _finish(work: Work, store: Store, facts: list[Fact] | KdbenchError, wall: float) -> Outcome:
    """Publish a stage, or fail it alone where a group's other stages went well."""
    try:
        if isinstance(facts, KdbenchError):
            raise facts
        work.remove([PROGRESS])
        (work.out / RECORDS).write_text(json.dumps(facts, allow_nan=False))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        stage = {"spec": json.loads(work.spec.to_json()), "wall_seconds": wall, "created_utc": created}
        (work.out / STAGE).write_text(json.dumps(stage))
        store.publish(work.spec.key)
    except (KdbenchError, OSError, ValueError) as error:
        return _fail(work, store, error, wall)
    return Outcome(work.spec.key, "done", wall_seconds=wall)


def _fail(work: Work, store: Store, error: Exception, wall: float) -> Outcome:
    reason = sentence(error)
    text = f"{work.spec.kind} {work.spec.key}\n{reason}\n\n"
    with contextlib.suppress(OSError):  # a full disk may have kept the log from being written
        text += (work.out / LOG).read_text()
    text += "".join(traceback.format_exception(error))
    try:
        place = str(store.fail(work.spec.key, text))
    except OSError:
        shutil.rmtree(work.out, ignore_errors=True)
        place = ""
    return Outcome(work.spec.key, "failed", reason, place, wall)


def sentence(error: Exception) -> str:
    """What to tell a user of an error."""
    if isinstance(error, KdbenchError):
        return str(error)
    if os.strerror(errno.ENOSPC) in str(error):  # not every library raises it as an OSError
        return "no space left on the disk of the store; free some, or name another with --store, and run again."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory ({error}); try a smaller batch_size, or fewer --jobs."
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _clear(scratch: Path) -> None:
    """Remove what a killed worker left, but for the checkpoints that a training goes on from."""
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not (path.name.startswith(CHECKPOINT) and path.suffix == ".pt"):
            path.unlink()


class _StageLog(logging.FileHandler):
    """A log that a full disk does not make noisy: the stage itself will say what is wrong."""

    def handleError(self, record: logging.LogRecord) -> None:
        return


@contextlib.contextmanager
def _work(spec: StageSpec, store: Store) -> Iterator[Work]:
    out = store.scratch(spec.key)
    _clear(out)
    log = logging.getLogger(f"kdbench.stage.{spec.key}")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = _StageLog(out / LOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield Work(spec, store, out, log)
    finally:
        log.removeHandler(handler)
        handler.close()
