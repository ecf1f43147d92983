"""What cannot work is told before anything is trained, and costs the case that it stands in alone."""

from concurrent.futures import Future
from pathlib import Path

import pytest
from rich.console import Console

from kdbench import registry
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.run import walk
from kdbench.run.executors import Executor
from kdbench.stages.names import LOG
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome, run_stages
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0, 1]
recipes: {train: {epochs: 1, learning_rate: 0.05}, finetune: {epochs: 1}}
teacher: {model: {cnn: {channels: [16, 32]}}, recipe: train}
student: {model: {cnn: {channels: [8, 16]}}, recipe: train}
cases:
  from-scratch: []
  soft: [soft_distillation]
  chain: [soft_distillation, {structured_pruning: {channel_fraction: 0.5, finetuned: false}}, LAST]
measure: [{provider: cpu}]
"""
TYPO = "{unstructured_pruning: {weight_fraction: 0.5, keep: [layr2]}}"
RIGHT = "{unstructured_pruning: {weight_fraction: 0.5}}"


class Here(Executor):
    """Runs every stage at once, in this process, and keeps the order."""

    order: list[StageSpec] = []  # noqa: RUF012 (of the one executor of a test)

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        self.order.extend(specs)
        future: Future[list[Outcome]] = Future()
        future.set_result(run_stages([spec.to_json() for spec in specs], str(self.store)))
        return future

    def close(self) -> None:
        return


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Here, "order", [])
    monkeypatch.setitem(registry.EXECUTORS, "here", f"{__name__}:Here")
    registry.names.cache_clear()


def planned(folder: Path, text: str) -> Plan:
    (folder / "s.yaml").write_text(text)
    return make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))


def trained(plan: Plan, folder: Path) -> walk.Summary:
    """Runs every stage that makes a network."""
    labels = [label for label in plan.labels if plan.stages[label.key].kind in ("train", "compress", "adopt")]
    run = walk.Run(plan, labels, Store(folder / "store"), folder / "results", "", executor="here")
    return run.walk(1, Console(quiet=True))


def test_a_typo_in_a_cases_third_technique_is_told_before_any_training_and_other_cases_go_on(tmp_path: Path) -> None:
    plan = planned(tmp_path, SUITE.replace("LAST", TYPO))
    summary = trained(plan, tmp_path)
    kinds = [spec.kind for spec in Here.order]
    assert {"train", "compress", "teach"}.isdisjoint(kinds[: len(kinds) - kinds[::-1].index("rehearse")])
    lost = {label.key for label in plan.labels if label.case == "chain" and plan.stages[label.key].kind == "compress"}
    lost -= {label.key for label in plan.labels if label.case == "soft"}
    assert len(lost) == 4, "two prunings for each of two seeds; soft distillation is another case's, too"
    assert lost.isdisjoint(spec.key for spec in Here.order)
    assert {summary.failures[key].status for key in lost} == {"failed"}
    (reason,) = {failure.reason for failure in summary.failures.values()}
    assert reason.startswith("rehearse: chain: keep: the model has no layer 'layr2'. Did you mean 'layer2'?")
    assert summary.computed == 1 + 1 + 2 + 1 + 2, (
        "the data, the teacher, two students, the teacher's outputs, two taught"
    )


def test_a_rehearsal_that_went_well_is_kept_and_changes_no_key(tmp_path: Path) -> None:
    plan = planned(tmp_path, SUITE.replace("LAST", RIGHT))
    assert not {key for spec in plan.stages.values() for key in spec.inputs.values()} & plan.rehearsals.keys()
    first = trained(plan, tmp_path)
    assert first.failures == {}
    rehearsed = [spec.key for spec in Here.order if spec.kind == "rehearse"]
    assert set(rehearsed) == plan.rehearsals.keys()
    Here.order.clear()
    assert trained(plan, tmp_path).computed == 0
    assert Here.order == []
    again = planned(tmp_path, SUITE.replace("LAST", RIGHT).replace("epochs: 1,", "epochs: 2,").replace("[0, 1]", "[0]"))
    trained(again, tmp_path)
    assert "rehearse" not in {spec.kind for spec in Here.order}, "neither recipes nor seeds matter to it"


def test_a_teacher_that_cannot_work_is_told_once_and_nobody_is_trained_for_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from kdbench.protocols import Model\n"
        "class Net(Model):\n"
        "    def build(self, task):\n"
        "        from torch import nn\n"
        "        return nn.Sequential(nn.Flatten(), nn.Linear(64, task.class_count), nn.Softmax(1))\n"
    )
    text = SUITE.replace("LAST", RIGHT).replace("{cnn: {channels: [16, 32]}}", "'net.py:Net'")
    summary = trained(planned(tmp_path, text), tmp_path)
    assert [spec.kind for spec in Here.order if spec.kind in ("train", "compress", "teach")] == ["train", "train"]
    (reason,) = {failure.reason for failure in summary.failures.values()}
    assert reason.startswith("rehearse: teacher: Sequential gives probabilities (rows that are never negative")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("[fitnet: {student_layer: layr2}]", "the student has no layer 'layr2'"),
        ("['own.py:Loss']", "the loss gives {'odd': Tensor of shape (16,)}"),
        ("['own.py:Role']", "fit() was asked for recipe 'finetune', which the technique's `roles` do not name"),
    ],
)
def test_what_a_first_step_would_have_shown_is_shown_by_one_batch(tmp_path: Path, case: str, expected: str) -> None:
    (tmp_path / "own.py").write_text(
        "from kdbench.protocols import Technique\n"
        "class Loss(Technique):\n"
        "    def apply(self, model, ctx):\n"
        "        return ctx.fit(model, lambda batch, outputs: {'odd': outputs[0].sum(1)})\n"
        "class Role(Technique):\n"
        "    def apply(self, model, ctx):\n"
        "        return ctx.fit(model, recipe='finetune')\n"
    )
    text = SUITE.replace("[soft_distillation]", case).replace("[0, 1]", "[0]").replace("LAST", RIGHT)
    summary = trained(planned(tmp_path, text), tmp_path)
    (reason,) = {failure.reason for failure in summary.failures.values()}
    assert f"rehearse: soft: {expected}" in reason


def test_weights_that_only_training_makes_are_no_fault_of_a_rehearsal(tmp_path: Path) -> None:
    """New weights have no small singular values, so that nothing could be split by energy."""
    text = SUITE.replace("[soft_distillation]", "[low_rank: {energy: 0.999, finetuned: false}]").replace("LAST", RIGHT)
    plan = planned(tmp_path, text.replace("[0, 1]", "[0]"))
    key = plan.rehearsed["soft"]
    data = plan.stages[plan.rehearsals[key].inputs["data"]]
    outcomes = run_stages([data.to_json(), plan.rehearsals[key].to_json()], str(tmp_path / "store"))
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    log = Store(tmp_path / "store").folder(key) / LOG
    assert "not rehearsed to the end: nothing was factorised" in log.read_text(encoding="utf-8")
