"""The executor `ray` on a cluster of three nodes that this test starts: a worker and a whole node are lost in it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdbench import registry
from kdbench.cli._shared import plans_of
from kdbench.errors import KdbenchError
from kdbench.evidence import read_results
from kdbench.plan.rows import make_plan
from kdbench.protocols.part import PartSpec
from kdbench.results.records import Latency, Score, Size, Training
from kdbench.run import walk
from kdbench.run.executors import ray as executor
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.suite.reader import load
from kdbench.suite.targets import interpreters_of
from kdbench.testing import check_executor
from kdbench.timing import probe

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

TASK = """
import os, signal, time
from pathlib import Path
import ray
from kdbench.tasks.digits import Digits

class Lost(Digits):
    first: str
    how: str

    def decode(self, folder):
        if not Path(self.first).exists():
            Path(self.first).write_text(ray.get_runtime_context().get_node_id())
            if self.how == "worker":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(120)
        return super().decode(folder)
"""


CORES = sorted(os.sched_getaffinity(0))
CORE_OF = {"board": CORES[0], "desk": CORES[-1]}
"""The one core that all processes of a node may use; the process that times files there records it."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores of its own, so that stages go to the other nodes."""
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for name, core in CORE_OF.items():
        os.sched_setaffinity(0, [core])
        started.add_node(num_cpus=1, resources={name: 1, "shared": 1})
    os.sched_setaffinity(0, CORES)
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def made(cluster: Any, tmp_path: Path) -> Iterator[executor.RayExecutor]:
    found = executor.RayExecutor(tmp_path / "store", address=cluster.address)
    yield found
    found.close()


def lost(folder: Path, how: str) -> StageSpec:
    """A decode stage that loses its worker, or waits to be lost with its node, the first time that it runs."""
    (folder / "mine.py").write_text(TASK)
    name = "mine.py:Lost"
    cls = registry.resolve("task", name, folder)
    fields = {"first": str(folder / "first"), "how": how}
    return StageSpec("decode", 1, {"task": PartSpec("task", name, 1, fields, registry.user_code(name, cls, folder))})


def test_ray_keeps_the_contract_of_executors(cluster: Any) -> None:
    check_executor(lambda store, jobs: executor.RayExecutor(store, jobs, address=cluster.address))


def test_it_runs_as_many_stages_at_once_as_the_nodes_have_cores_for(made: executor.RayExecutor) -> None:
    assert made.jobs == 2


SUITE = """
kdbench: 1
name: s
task: digits
recipes: {train: {epochs: 1, learning_rate: 0.05}}
teacher: {model: mlp, recipe: train}
student: {model: {mlp: {width: 8}}, recipe: train}
cases: {from-scratch: [], soft: [soft_distillation]}
measure: [{provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false}]
"""


def numbers(folder: Path, name: str, address: str | None) -> dict[Any, Any]:
    """What a run of the suite records that does not depend on time."""
    (folder / "s.yaml").write_text(SUITE)
    suite = load(folder / "s.yaml")
    plan = make_plan(suite, probe.machine(*interpreters_of(suite.measure)))
    run = walk.Run(plan, plan.labels, Store(folder / f"store-{name}"), folder / name, "", name, address)
    assert run.walk(None, Console(quiet=True)).failures == {}
    results = read_results(folder / name)
    scores = {(one.case, one.split): one.value for one in results.of(Score)}
    files = {(one.case, "onnx"): one.onnx_sha256 for one in results.of(Size)}
    return scores | files | {(one.case, "loss"): one.terms_by_epoch for one in results.of(Training)}


def test_a_run_on_a_cluster_has_the_numbers_of_one_here(cluster: Any, tmp_path: Path) -> None:
    """The head, on which files are evaluated and timed, has no cores for Ray."""
    found = numbers(tmp_path, "ray", cluster.address)
    assert len(found) == 12
    assert found == numbers(tmp_path, "local", None)


def test_files_are_timed_on_the_nodes_that_measure_entries_name(cluster: Any, tmp_path: Path) -> None:
    entry = "provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false"
    places = f"[{{{entry}}}, {{node: board, {entry}}}, {{node: desk, {entry}}}]"
    (tmp_path / "s.yaml").write_text(SUITE.partition("measure:")[0] + f"measure: {places}")
    (plan,) = plans_of(tmp_path / "s.yaml", None, "ray", cluster.address)
    run = walk.Run(plan, plan.labels, Store(tmp_path / "store"), tmp_path / "out", "", "ray", cluster.address)
    assert run.walk(None, Console(quiet=True)).failures == {}
    results = read_results(tmp_path / "out")
    here = {"local-cpu-1t-fp32": CORES}
    there = {f"{name}-cpu-1t-fp32": [core] for name, core in CORE_OF.items()}
    assert {one.target: list(one.affinity) for one in results.of(Latency)} == here | there
    values = {(one.case, one.split, one.target): one.value for one in results.of(Score)}
    assert all(value == values[case, split, "local-cpu-1t-fp32"] for (case, split, _), value in values.items())
    fingerprints = {one.target: one.fingerprint for one in results.of(Latency)}
    for target in plan.targets:
        assert fingerprints[target.id] == plan.machine.at(target.entry.node).runtime(None)["fingerprint"]


@pytest.mark.parametrize(
    ("entry", "name", "said"),
    [
        ("node: attic", "ray", r"s\.yaml:9: measure\.0\.node: no node of the cluster that is alive is called 'attic'"),
        (
            "node: shared",
            "ray",
            r"measure\.0\.node: 2 nodes of the cluster are called 'shared'; its nodes.*board.*desk",
        ),
        (
            "node: desk, python: /no/python",
            "ray",
            r"measure\.0\.node: the node desk cannot measure: cannot start /no/python",
        ),
        ("node: desk", "local", r"measure\.0\.node: only `kdbench run SUITE --executor ray` measures on nodes"),
        ("node: local", "ray", r"measure\.0\.node: 'local' cannot be a node"),
    ],
)
def test_a_node_that_cannot_measure_is_a_sentence_at_its_line(
    cluster: Any, tmp_path: Path, entry: str, name: str, said: str
) -> None:
    (tmp_path / "s.yaml").write_text(SUITE.partition("measure:")[0] + f"measure: [{{{entry}, provider: cpu}}]")
    with pytest.raises(KdbenchError, match=said):
        plans_of(tmp_path / "s.yaml", None, name, cluster.address)


def test_a_stage_whose_worker_is_killed_runs_again(made: executor.RayExecutor, tmp_path: Path) -> None:
    (outcome,) = made.submit([lost(tmp_path, "worker")]).result(120)
    assert (outcome.status, outcome.reason) == ("done", "")
    assert Store(tmp_path / "store").has(outcome.key)


def test_closing_ends_what_runs(cluster: Any, tmp_path: Path) -> None:
    found = executor.RayExecutor(tmp_path / "store", address=cluster.address)
    running = found.submit([lost(tmp_path, "node")])
    while not (tmp_path / "first").exists():
        time.sleep(0.05)
    begin = time.monotonic()
    found.close()
    assert time.monotonic() - begin < 60  # the stage would have slept for two minutes
    assert not Store(tmp_path / "store").has(lost(tmp_path, "node").key)
    assert running.cancelled() or running.result(10)[0].status == "failed"


def test_a_stage_whose_node_is_lost_runs_again_on_another(
    cluster: Any, made: executor.RayExecutor, tmp_path: Path
) -> None:
    running = made.submit([lost(tmp_path, "node")])
    first = tmp_path / "first"
    until = time.monotonic() + 60
    while not (first.exists() and first.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    (node,) = (node for node in cluster.worker_nodes if node.node_id == first.read_text())
    cluster.remove_node(node, allow_graceful=False)
    (outcome,) = running.result(120)
    assert (outcome.status, outcome.reason) == ("done", "")


def test_a_node_with_another_version_is_refused() -> None:
    versions = {"a": {"torch": "2.14.1"}, "b": {"torch": "2.11.0"}}
    with pytest.raises(KdbenchError, match=r"the node .* has torch 2\.11\.0, and this one 2\.14\.1; install the same"):
        executor.refuse_strange(versions, "a", {"b": "127.0.0.1"})


def test_an_address_that_nobody_answers_at_is_a_sentence(tmp_path: Path) -> None:
    ray.shutdown()
    with pytest.raises(KdbenchError, match=r"no Ray cluster answers at '127\.0\.0\.1:1' .*`ray start --head`"):
        executor.RayExecutor(tmp_path / "store", address="127.0.0.1:1")
