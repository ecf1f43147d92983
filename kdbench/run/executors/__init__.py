"""Executors: where stages run. This is the contract; `local` and `ray` are two, further ones come as entry points.

A package adds its executor under the group `kdbench.executors`, and `kdbench run --executor NAME` uses it.
`kdbench.testing.check_executor` tells whether it keeps the contract.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from kdbench.errors import KdbenchError
from kdbench.stages.names import STAGE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome
from kdbench.suite.form import MeasureEntry
from kdbench.timing.machine import Machine

DEFAULT = "local"


class NoNode(KdbenchError):
    """A node that a measure entry names cannot be asked, or cannot measure."""

    def __init__(self, node: str, sentence: str) -> None:
        super().__init__(sentence)
        self.node = node


class Executor(ABC):
    """Runs lists of stages, no more than `jobs` of them side by side.

    A worker calls `kdbench.stages.worker.run_stages` with the stages as JSON and the store's folder, which it must
    reach, as the workers of other machines do on a shared disk. That function claims, runs and publishes each stage,
    and gives an outcome for each. Nothing else passes between a worker and the run: how far a stage is stands in the
    store, and the log of a failed one comes with its outcome.
    """

    def __init__(self, store: Path, jobs: int | None = None, threads: int = 1, address: str | None = None) -> None:
        """`store`: its folder; `jobs`: how many lists the run will have under way at once, at most.

        Without `jobs` they are as many as there are cores for, at `threads` each. `address`: of the machines, where an
        executor needs one. Raises KdbenchError where it cannot be used.
        """
        self.store = store
        self.jobs = jobs or max(1, self.cores() // threads)

    @classmethod
    def machines(cls, entries: Sequence[MeasureEntry], address: str | None) -> dict[str, Machine]:
        """Name -> the machine, for each node that measure entries name: what a plan must know of it.

        Raises NoNode where it cannot tell of one; an executor that knows no nodes tells of none.
        """
        for entry in entries:
            if entry.node:
                raise NoNode(entry.node, "only `kdbench run SUITE --executor ray` measures on nodes.")
        return {}

    def cores(self) -> int:
        """Processors that it has for stages."""
        return cores_here()

    @abstractmethod
    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        """Run the stages of a list in one process. Does not wait.

        The future gives an outcome for each, in order. It raises nothing: a worker that dies, or cannot be reached, is
        a failed outcome for each stage of the list that is not published (`left_by_dead`), with a sentence for the
        user.
        """

    @abstractmethod
    def close(self) -> None:
        """End every worker now, whatever it does. Returns when they have ended."""


def cores_here() -> int:
    """Processors of this machine that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def left_by_dead(store: Path, spec: StageSpec, death: str) -> Outcome:
    """What a dead worker leaves of a stage: its result where that was published before, else how the worker died."""
    opened = Store(store)
    if opened.has(spec.key):
        return Outcome(spec.key, "done", wall_seconds=opened.read_json(spec.key, STAGE)["wall_seconds"])
    return Outcome(spec.key, "failed", death, died=True)
