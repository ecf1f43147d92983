"""A stage of a suite in this process, within a limit of memory, and what it took."""

import resource
import threading
import time
from pathlib import Path

import made

from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages
from kdbench.suite.reader import load
from kdbench.suite.targets import interpreters_of
from kdbench.timing import probe

STAGES = ("decode", "train", "export", "evaluate")
SUITE = """
kdbench: 1
name: large
task: {task}
recipes: {{train: {{epochs: 1, batch_size: 64}}}}
student: {{model: {model}, recipe: train}}
cases: {{from-scratch: []}}
measure: [{{provider: cpu}}]
"""
SAMPLE_SECONDS = 0.005


class Watch:
    """The most memory that is no map of a file (RssAnon), looked at now and then."""

    def __init__(self) -> None:
        self._begin = self._most = _status("RssAnon")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._most = max(self._most, _status("RssAnon"))

    @property
    def taken(self) -> int:
        """Bytes beside what there was at the beginning."""
        return self._most - self._begin


def costs(folder: Path, kind: str, stage: str, limit: int) -> tuple[int, float]:
    """Bytes and seconds of a stage on the large set, once all stages on the small one have warmed everything up."""
    _walk(folder / "small", kind, STAGES, f"store-{stage}")
    resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData") + limit,) * 2)
    return _walk(folder / "large", kind, (stage,), "store")


def _walk(folder: Path, kind: str, stages: tuple[str, ...], kept: str) -> tuple[int, float]:
    """Run stages of these kinds, those before them being in the store `kept`: bytes and seconds of the last."""
    chosen = made.KINDS[kind]
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(task=chosen.task.replace("{folder}", str(folder)), model=chosen.model))
    plan, store = _plan(path), Store(folder / kept)
    found = (0, 0.0)
    for spec in plan.needed([label for label in plan.labels if label.case == "from-scratch"], store.has):
        if spec.kind not in stages:
            continue
        begin = time.perf_counter()
        with Watch() as watch:
            (outcome,) = run_stages([spec.to_json()], str(store.root))
        if outcome.status != "done":
            raise SystemExit(f"{spec.kind}: {outcome.reason}\n{outcome.log}")
        found = (watch.taken, time.perf_counter() - begin)
    return found


def _plan(path: Path) -> Plan:
    suite = load(path)
    return make_plan(suite, probe.machine(*interpreters_of(suite.measure)))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
