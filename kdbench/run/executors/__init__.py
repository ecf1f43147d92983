"""Executors: where stages run. This is the contract; `local` is one, further ones come as entry points.

A package adds its executor under the group `kdbench.executors`, and `kdbench run --executor NAME` uses it.
`kdbench.testing.check_executor` tells whether it keeps the contract.
"""

from abc import ABC, abstractmethod
from concurrent.futures import Future
from pathlib import Path

from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome

DEFAULT = "local"


class Executor(ABC):
    """Runs lists of stages, no more than `jobs` of them side by side.

    A worker calls `kdbench.stages.worker.run_stages` with the stages as JSON and the store's folder, which it must
    reach, as the workers of other machines do on a shared disk. That function claims, runs and publishes each stage,
    and gives an outcome for each. Nothing else passes between a worker and the run: how far a stage is stands in the
    store, and the log of a failed one comes with its outcome.
    """

    def __init__(self, store: Path, jobs: int) -> None:
        """`store`: its folder; `jobs`: how many lists the run will have under way at once, at most."""
        self.store = store
        self.jobs = jobs

    @abstractmethod
    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        """Run the stages of a list in one process. Does not wait.

        The future gives an outcome for each, in order. It raises nothing: a worker that dies, or cannot be reached, is
        a failed outcome for each stage of the list that is not published, `died`, with a sentence for the user.
        """

    @abstractmethod
    def close(self) -> None:
        """End every worker now, whatever it does. Returns when they have ended."""
