"""The contract test of executors."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from kdbench.protocols.part import PartSpec
from kdbench.run.executors import Executor
from kdbench.stages import VERSIONS
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store

TASK = PartSpec("task", "digits", 1, {})
SECONDS = 300
"""How long an executor may take for a stage of a second."""


def check_executor(make: Callable[[Path, int], Executor]) -> None:
    """An executor runs stages, reuses those that the store has, and gives an outcome for one that fails.

    `make(store, jobs)` gives the executor; its workers must reach `store`, a new folder on this machine.
    """
    decode = StageSpec("decode", VERSIONS["decode"], {"task": TASK})
    broken = StageSpec("train", VERSIONS["train"], seed=0)  # without a model, a task and a recipe
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        executor = make(store.root, 2)
        try:
            assert executor.jobs == 2, f"{type(executor).__name__}.jobs is {executor.jobs}; it was made for 2."
            flying = [executor.submit([broken]), executor.submit([decode])]
            failed, done = (future.result(SECONDS) for future in flying)
            again = executor.submit([decode, broken]).result(SECONDS)
        finally:
            executor.close()
        assert store.has(decode.key), f"{decode.key} was to be run, which is not in the store."
        said = [(outcome.key, outcome.status) for outcome in (*done, *again, *failed)]
        asked = [(decode.key, "done"), (decode.key, "reused"), (broken.key, "failed"), (broken.key, "failed")]
        assert said == asked, f"{asked} was expected, key and how the stage ended, got {said}."
        assert failed[0].reason, "a stage failed, and no sentence says why."
        assert "Traceback" in failed[0].log, "the log of a stage that failed did not come back with its outcome."
