"""The local executor: a warm pool, one process a slot: a worker that dies takes nothing with it but its own stage."""

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
from kdbench.stages.failure_text import sentence
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome, run_stages

PRELOADED = [*(place.partition(":")[0] for place in stages.TABLE.values()), *stages.LATE_IMPORTS]


class LocalExecutor:
    """`submit` hands a list of stages to a free worker; no more than `jobs` lists may be under way at once."""

    def __init__(self, store: Path, jobs: int) -> None:
        self.store = store
        self.jobs = jobs
        self._context = _context()
        self._free: list[ProcessPoolExecutor] = []
        self._all: set[ProcessPoolExecutor] = set()
        self._lock = threading.Lock()

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        """Run stages in one worker. A worker that dies gives a failed outcome for each of them."""
        slot = self._take()
        answer: Future[list[Outcome]] = Future()
        running = slot.submit(run_stages, [spec.to_json() for spec in specs], str(self.store))
        running.add_done_callback(lambda done: self._settle(slot, specs, done, answer))
        return answer

    def close(self) -> None:
        """End every worker now, whatever it does."""
        with self._lock:
            slots, self._all, self._free = self._all, set(), []
        processes = [process for slot in slots for process in (slot._processes or {}).values()]
        for process in processes:
            process.kill()
        for slot in slots:  # to its end: a pool still closing while Python exits complains of a closed pipe
            slot.shutdown(wait=True, cancel_futures=True)

    def _take(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._free:
                return self._free.pop()
            slot = ProcessPoolExecutor(1, self._context, initializer=_end_with_parent)
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
            reason = "its worker process died (killed, perhaps for want of memory); run again, or with fewer --jobs."
            answer.set_result([Outcome(spec.key, "failed", reason) for spec in specs])
        elif error is not None:
            answer.set_result([Outcome(spec.key, "failed", sentence(error)) for spec in specs])
        elif not done.cancelled():
            answer.set_result(done.result())


def _context() -> BaseContext:
    """forkserver with torch preloaded where there is one: workers start in milliseconds and share its memory."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return context
    return multiprocessing.get_context("spawn")


def _end_with_parent() -> None:
    """In a worker: leave interrupts to the parent, and die when it does, with whatever was started here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.join,), daemon=True).start()


def _watch(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)
