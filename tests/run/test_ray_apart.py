"""A Ray cluster whose nodes do not see the run's store: each hides its folder under an empty file system of its own."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdbench.cli._shared import plans_of
from kdbench.evidence import read_results
from kdbench.results.records import Latency, Score, Size, Training
from kdbench.run import walk
from kdbench.stages.names import LOG
from kdbench.stages.store import Store

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.skipif(
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
        reason="a mount of one's own needs Linux and its rights",
    ),
]
NODES = ("board", "desk")
ENTRY = "provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false"
SUITE = """
kdbench: 1
name: s
task: digits
recipes: {{train: {{epochs: {epochs}, learning_rate: 0.05}}}}
teacher: {{model: mlp, recipe: train}}
student: {{model: {{mlp: {{width: 8}}}}, recipe: train}}
cases: {{from-scratch: [], soft: [soft_distillation]}}
measure: {measure}
"""


class Apart:
    """A head that sees the folder `hidden`, and nodes that do not."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.hidden = folder / "hidden"
        self.hidden.mkdir()
        self.folder = folder
        self._head = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.address = self._head.address
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        for count, name in enumerate(NODES, start=2):  # one after the other: their ports would be the same
            self.nodes[name] = self._node(name)
            self._wait(count)

    def _node(self, name: str) -> subprocess.Popen[bytes]:
        ray_ = Path(sys.executable).parent / "ray"
        resources = f'{{"{name}": 1}}'
        start = f"{ray_} start --address={self.address} --num-cpus=1 --resources='{resources}' --block"
        script = f"mount -t tmpfs none {self.hidden} && exec {start}"
        environment = {**os.environ, "KDBENCH_CACHE": str(self.folder / name)}
        with open(self.folder / f"{name}.log", "wb") as log:
            command = ["unshare", "-m", "sh", "-c", script]
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def lose(self, name: str) -> None:
        """End a node and all its workers at once, as a loss of power does."""
        os.killpg(self.nodes.pop(name).pid, signal.SIGKILL)

    def _wait(self, count: int) -> None:
        """Until so many nodes are there."""
        ray.init(address=self.address, log_to_driver=False)
        until = time.monotonic() + 60
        while sum(node["Alive"] for node in ray.nodes()) < count:
            assert time.monotonic() < until, "a node did not start"
            time.sleep(0.2)
        ray.shutdown()

    def close(self) -> None:
        for name in [*self.nodes]:
            self.lose(name)
        ray.shutdown()
        self._head.shutdown()


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    found = Apart(tmp_path_factory.mktemp("apart"))
    yield found
    found.close()


def run_of(apart: Apart, folder: Path, store: Path, name: str, epochs: int, measure: str) -> walk.Run:
    (folder / "s.yaml").write_text(SUITE.format(epochs=epochs, measure=measure))
    address = apart.address if name == "ray" else None
    (plan,) = plans_of(folder / "s.yaml", None, name, address)
    return walk.Run(plan, plan.labels, Store(store), folder / f"out-{name}", "", name, address)


def numbers(folder: Path) -> dict[Any, Any]:
    """What a run records that does not depend on time."""
    results = read_results(folder)
    scores = {(one.case, one.split): one.value for one in results.of(Score)}
    files = {(one.case, "onnx"): one.onnx_sha256 for one in results.of(Size)}
    return scores | files | {(one.case, "loss"): one.terms_by_epoch for one in results.of(Training)}


def test_a_run_on_nodes_without_the_store_has_the_numbers_of_one_here(apart: Apart, tmp_path: Path) -> None:
    run = run_of(apart, tmp_path, apart.hidden / "store", "ray", 1, f"[{{{ENTRY}}}, {{node: board, {ENTRY}}}]")
    assert run.walk(None, Console(quiet=True)).failures == {}
    there = run_of(apart, tmp_path, tmp_path / "here", "local", 1, f"[{{{ENTRY}}}]")
    assert there.walk(None, Console(quiet=True)).failures == {}
    assert numbers(tmp_path / "out-ray") == numbers(tmp_path / "out-local")
    timed = {one.target for one in read_results(tmp_path / "out-ray").of(Latency)}
    assert timed == {"local-cpu-1t-fp32", "board-cpu-1t-fp32"}
    store = Store(apart.hidden / "store")
    for key in run.todo:
        store.verify(key)
    assert any(apart.folder.glob("*/nodes/*/stages/*/*"))  # of the nodes' own
    assert not list((store.root / "scratch").iterdir())
    assert not [path for path in (store.root / "locks").iterdir() if path.suffix != ".lock"]


def test_a_training_whose_node_is_lost_goes_on_from_its_checkpoint(apart: Apart, tmp_path: Path) -> None:
    run = run_of(apart, tmp_path, apart.hidden / "lost", "ray", 1500, f"[{{{ENTRY}}}]")
    lost: list[str] = []

    def lose_its_node() -> None:
        """As soon as the run's store has a checkpoint."""
        until = time.monotonic() + 120
        while not lost and time.monotonic() < until:
            for place in (apart.hidden / "lost" / "scratch").glob("*/checkpoint-0.pt"):
                at_work = [
                    name for name in NODES if any(apart.folder.glob(f"{name}/nodes/*/scratch/{place.parent.name}"))
                ]
                lost.extend(at_work)
                for name in at_work:
                    apart.lose(name)
            time.sleep(0.05)

    thread = threading.Thread(target=lose_its_node)
    thread.start()
    summary = run.walk(None, Console(quiet=True))
    thread.join()
    assert len(lost) == 1
    assert summary.failures == {}
    store = Store(apart.hidden / "lost")
    logs = [store.folder(key) / LOG for key, spec in run.todo.items() if spec.kind == "train"]
    assert any("going on after epoch" in log.read_text() for log in logs)
