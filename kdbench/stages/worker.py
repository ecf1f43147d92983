"""The work of one call of a worker: claim stages by key, run them in their scratch folders, publish what they made.

Every stage has an outcome. One that failed has a sentence for the user.
"""

import contextlib
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
from kdbench.files import UNFINISHED
from kdbench.stages import allocator
from kdbench.stages.failure_text import sentence
from kdbench.stages.lockstep import Result, in_step
from kdbench.stages.names import CHECKPOINT, LOG, PROGRESS, RECORDS, STAGE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import Work

IN_STEP = ("teach", "compress")
"""Kinds whose stages in one list go in step, unless another of the list rests on them."""


@dataclass(frozen=True)
class Outcome:
    """How one stage ended."""

    key: str
    status: str
    """"done", "reused" (the store had it, or another run finished it first) or "failed"."""
    reason: str = ""
    """Why it failed, as a sentence."""
    log: str = ""
    """The log and traceback of a failed stage, as text."""
    wall_seconds: float = 0.0
    died: bool = False
    """Whether it failed because its worker did."""


def run_stages(texts: list[str], root: str) -> list[Outcome]:
    """Work on the stages of these specs (JSON) that the store at `root` does not have; one outcome each, in order.

    Stages are claimed in the order of their keys, so that two runs never wait for each other. Whatever goes wrong is a
    failed outcome, never an error.
    """
    specs = [StageSpec.from_json(text) for text in texts]
    outcomes: dict[str, Outcome] = {}
    try:
        store = Store(Path(root))
        with allocator.handing_back(), ExitStack() as claims:
            for spec in sorted(specs, key=lambda spec: spec.key):
                claims.enter_context(store.claim(spec.key))
            outcomes = {spec.key: Outcome(spec.key, "reused") for spec in specs if store.has(spec.key)}
            for group in _groups([spec for spec in specs if spec.key not in outcomes]):
                outcomes |= {outcome.key: outcome for outcome in _run(group, store)}
    except (KdbenchError, OSError) as error:  # of the store itself: a lock or a folder that cannot be made
        return [outcomes.get(spec.key) or Outcome(spec.key, "failed", sentence(error)) for spec in specs]
    return [outcomes[spec.key] for spec in specs]


def _groups(specs: list[StageSpec]) -> list[list[StageSpec]]:
    """Techniques go in step and files to measure go round together; every other stage stands alone."""
    rested_on = {key for spec in specs for key in spec.inputs.values()}
    in_step = [spec for spec in specs if spec.kind in IN_STEP and spec.key not in rested_on]
    measured = [spec for spec in specs if spec.kind == "measure"]
    alone = [spec for spec in specs if spec not in (*in_step, *measured)]
    return [*([spec] for spec in alone), *(group for group in (in_step, measured) if group)]


def _run(specs: list[StageSpec], store: Store) -> list[Outcome]:
    """One outcome each; a stage of a group is published as soon as its own facts are there."""
    begin, began = time.perf_counter(), datetime.now(UTC)
    outcomes: dict[str, Outcome] = {}
    try:
        with ExitStack() as logs:
            works = {spec.key: logs.enter_context(_work(spec, store)) for spec in specs}
            for key, facts in _facts(list(works.values())):
                wall = (time.perf_counter() - begin) / len(works)
                outcomes[key] = _finish(works[key], store, facts, wall, began)
    # The boundary where a group's failure becomes a sentence, whatever it is: user code that calls sys.exit too.
    except (Exception, SystemExit) as error:
        wall = time.perf_counter() - begin
        outcomes |= {spec.key: _fail(spec, store, error, wall) for spec in specs if spec.key not in outcomes}
    return list(outcomes.values())


def _facts(works: list[Work]) -> Iterator[tuple[str, Result]]:
    if works[0].spec.kind == "measure":
        yield from stages.function("measure")(works)
        return
    for work, result in in_step(works, lambda work: stages.function(work.spec.kind)(work)):
        yield work.spec.key, result


def _finish(work: Work, store: Store, facts: Result, wall: float, began: datetime) -> Outcome:
    """Publish a stage, or fail it alone where a group's other stages went well.

    wall: its share of its group's seconds; began: when the group did.
    """
    if isinstance(facts, BaseException):
        return _fail(work.spec, store, facts, wall)
    try:
        work.remove([PROGRESS])
        (work.out / RECORDS).write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")
        ended = datetime.now(UTC)
        stage = {
            "spec": json.loads(work.spec.to_json()),
            "wall_seconds": wall,
            "created_utc": ended.isoformat(timespec="seconds"),
            "began_utc": began.isoformat(timespec="milliseconds"),
            "ended_utc": ended.isoformat(timespec="milliseconds"),
            "process": os.getpid(),
        }
        (work.out / STAGE).write_text(json.dumps(stage), encoding="utf-8")
        store.publish(work.spec.key)
    except (KdbenchError, OSError, ValueError) as error:
        return _fail(work.spec, store, error, wall)
    return Outcome(work.spec.key, "done", wall_seconds=wall)


def _fail(spec: StageSpec, store: Store, error: BaseException, wall: float) -> Outcome:
    reason = sentence(error)
    text = f"{spec.kind} {spec.key}\n{reason}\n\n"
    scratch = store.scratch_folder(spec.key)
    with contextlib.suppress(OSError):  # a full disk may have kept the log from being written
        text += (scratch / LOG).read_text(encoding="utf-8")
    text += "".join(traceback.format_exception(error))
    try:
        store.fail(spec.key, text)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
    return Outcome(spec.key, "failed", reason, text, wall)


def _clear(scratch: Path) -> None:
    """Remove what a killed worker left, but for the checkpoints that a stage goes on from."""
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(CHECKPOINT) or path.suffix == UNFINISHED:
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
