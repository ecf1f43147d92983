"""Where stages run: every executor keeps one contract, and one that an installed package adds is used by its name."""

import json
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from kdbench import registry
from kdbench.errors import UnknownName
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.protocols.part import PartSpec
from kdbench.run import walk
from kdbench.run.executors import Executor
from kdbench.run.executors.local import LocalExecutor
from kdbench.stages.failure_text import sentence
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome, run_stages
from kdbench.suite.reader import load
from kdbench.testing import check_executor
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0]
recipes: {train: {epochs: 1, learning_rate: 0.05}}
student: {model: mlp, recipe: train}
cases: {from-scratch: []}
measure: [{provider: cpu}]
"""
ELSEWHERE = """
import json, sys
from dataclasses import asdict
from kdbench.stages.worker import run_stages
texts, store = json.load(sys.stdin)
print(json.dumps([asdict(outcome) for outcome in run_stages(texts, store)]))
"""


class Elsewhere(Executor):
    """A process for each list, started in a folder of its own: it shares nothing with the run but the store."""

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        future: Future[list[Outcome]] = Future()
        Thread(target=self._run, args=(specs, future)).start()
        return future

    def _run(self, specs: list[StageSpec], future: "Future[list[Outcome]]") -> None:
        asked = json.dumps([[spec.to_json() for spec in specs], str(self.store)])
        try:
            done = subprocess.run(
                [sys.executable, "-c", ELSEWHERE], input=asked, capture_output=True, text=True, check=True, cwd="/"
            )
            future.set_result([Outcome(**each) for each in json.loads(done.stdout)])
        except subprocess.CalledProcessError as error:
            future.set_result([Outcome(spec.key, "failed", sentence(error)) for spec in specs])

    def close(self) -> None:
        return


class Here(Executor):
    """Runs stages in the process that asks."""

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        future: Future[list[Outcome]] = Future()
        future.set_result(run_stages([spec.to_json() for spec in specs], str(self.store)))
        return future

    def close(self) -> None:
        return


class Lies(Here):
    """Says of every stage that it is done, and runs none."""

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        future: Future[list[Outcome]] = Future()
        future.set_result([Outcome(spec.key, "done") for spec in specs])
        return future


@pytest.mark.parametrize("executor", [LocalExecutor, Elsewhere])
def test_an_executor_keeps_its_contract(executor: type[Executor]) -> None:
    check_executor(executor)


def test_a_stage_that_is_not_in_the_store_was_not_run() -> None:
    with pytest.raises(AssertionError, match="which is not in the store"):
        check_executor(Lies)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "s.yaml"
    path.write_text(SUITE)
    return make_plan(load(path), Machine("cpu", "x86_64", {None: RUNTIME}))


def test_a_run_uses_the_executor_of_an_installed_package(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.EXECUTORS, "here", f"{__name__}:Here")
    registry.names.cache_clear()
    store = Store(tmp_path / "store")
    trained = [label for label in plan.labels if plan.stages[label.key].kind == "train"]
    run = walk.Run(plan, trained, store, tmp_path / "results", "", executor="here")
    summary = run.walk(1, Console(quiet=True))
    registry.names.cache_clear()
    assert summary.failures == {}
    assert store.has(trained[0].key)


def test_an_unknown_executor_is_refused_before_anything_is_written(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"there is no executor 'lokal'\. Did you mean 'local'\?"):
        walk.Run(plan, plan.labels, Store(tmp_path / "store"), tmp_path / "results", "", executor="lokal")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SIGSEGV", "crashed with SIGSEGV in onnxruntime 1.32.0, with the model in {model}."),
        ("SIGKILL", "killed by SIGKILL, perhaps for want of memory"),
    ],
)
def test_a_worker_that_dies_is_told_by_its_signal_and_what_it_worked_on(name: str, said: str, tmp_path: Path) -> None:
    task = tmp_path / "mine.py"
    task.write_text(
        "import os, signal\n"
        "from kdbench.protocols import Task\n"
        "class Dies(Task):\n"
        "    def decode(self, folder):\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
    )
    code = registry.user_code("mine.py:Dies", registry.resolve("task", "mine.py:Dies", tmp_path), tmp_path)
    part = PartSpec("task", "mine.py:Dies", 1, {}, code)
    numerics = {"runtime": "onnxruntime", "runtime_version": "1.32.0"}
    spec = StageSpec("decode", 1, {"task": part}, inputs={"model": "0" * 64}, numerics=numerics)
    executor = LocalExecutor(tmp_path / "store", 1)
    try:
        (outcome,) = executor.submit([spec]).result()
    finally:
        executor.close()
    assert outcome.status == "failed"
    assert said.format(model=Store(tmp_path / "store").folder("0" * 64)) in outcome.reason
