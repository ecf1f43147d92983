"""The executor `local`: warm processes on this machine, one for each job.

Each has a pool of its own, so that one that dies takes nothing with it but the stages that it was running.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from kdbench import stages
from kdbench.errors import KdbenchError
from kdbench.run.executors import Executor, left_by_dead
from kdbench.stages import allocator
from kdbench.stages.failure_text import sentence
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome, run_stages

PRELOADED = [*(place.partition(":")[0] for place in stages.TABLE.values()), *stages.LATE_IMPORTS]


class LocalExecutor(Executor):
    """Runs stages in processes of this machine that import torch once; a list of stages goes to one that is free."""

    def __init__(self, store: Path, jobs: int | None = None, threads: int = 1, address: str | None = None) -> None:
        """Raises KdbenchError for an address: there is but this machine."""
        super().__init__(store, jobs, threads, address)
        if address is not None:
            raise KdbenchError(f"the executor local runs on this machine alone; leave the address '{address}' out.")
        self._context = _context()
        self._free: list[ProcessPoolExecutor] = []
        self._all: set[ProcessPoolExecutor] = set()
        self._lock = threading.Lock()

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        slot = self._take()
        answer: Future[list[Outcome]] = Future()
        running = slot.submit(run_stages, [spec.to_json() for spec in specs], str(self.store))
        running.add_done_callback(lambda done: self._settle(slot, specs, done, answer))
        return answer

    def close(self) -> None:
        with self._lock:
            slots, busy = self._all, self._all.difference(self._free)
            self._all, self._free = set(), []
        for process in [process for slot in busy for process in (slot._processes or {}).values()]:
            process.kill()  # an idle one ends by itself, and takes back the semaphores that its libraries have made
        for slot in slots:  # wait: a pool that is still closing while Python exits complains of a closed pipe
            slot.shutdown(wait=True, cancel_futures=True)

    def _take(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._free:
                return self._free.pop()
            slot = ProcessPoolExecutor(1, self._context, initializer=_begin)
            self._all.add(slot)
            return slot

    def _settle(
        self, slot: ProcessPoolExecutor, specs: list[StageSpec], done: Future[Any], answer: "Future[list[Outcome]]"
    ) -> None:
        error = done.exception() if not done.cancelled() else None
        with self._lock:
            if isinstance(error, BrokenProcessPool):
                self._all.discard(slot)
            elif slot in self._all:
                self._free.append(slot)
        if isinstance(error, BrokenProcessPool):
            ended = _signal(slot)
            answer.set_result([left_by_dead(self.store, spec, self._death(spec, ended)) for spec in specs])
        elif error is not None:
            answer.set_result([Outcome(spec.key, "failed", sentence(error)) for spec in specs])
        elif not done.cancelled():
            answer.set_result(done.result())

    def _death(self, spec: StageSpec, ended: str | None) -> str:
        """How a worker died, in which runtime and over which model; memory is suspected after SIGKILL only."""
        if ended == "SIGKILL":
            return (
                "its worker process died: killed by SIGKILL, perhaps for want of memory; run again, or with fewer "
                "--jobs."
            )
        if ended is None:
            return "its worker process died; run again."
        runtime = spec.numerics.get("runtime")
        who = f"{runtime} {spec.numerics['runtime_version']}" if runtime else "native code, such as onnxruntime's"
        folder = Store(self.store).folder(spec.inputs["model"]) if "model" in spec.inputs else None
        over = f", with the model in {folder}" if folder else ""
        return f"its worker process died: it crashed with {ended} in {who}{over}."


def _signal(slot: ProcessPoolExecutor) -> str | None:
    """The name of the signal that ended the process of a broken pool; None where none did, or nobody knows."""
    for process in (slot._processes or {}).values():
        process.join(1)
        if process.exitcode is not None and process.exitcode < 0:
            return signal.Signals(-process.exitcode).name
    return None


def _context() -> BaseContext:
    """How processes start: on Linux from a server that has loaded torch, in milliseconds and sharing its memory."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return context
    return multiprocessing.get_context("spawn")


def _begin() -> None:
    """In a worker: have one heap, leave interrupts to the parent, and end when it ends, with every process started."""
    allocator.one_heap()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.join,), daemon=True).start()


def _watch(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)
