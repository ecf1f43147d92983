"""Sentences of a run that its readers must see, whoever computed the stages that they are about."""

from pathlib import Path

from kdbench.plan.rows import make_plan
from kdbench.run.standing import Standing
from kdbench.run.warnings import warnings
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """\
kdbench: 1
name: s
task: digits
recipes: {train: {epochs: 1}}
teachers:
  whole: {model: {cnn: {channels: [4, 8]}}}
  little: {model: {cnn: {channels: [4, 8]}}, stored: {gibibytes: 0.00001}}
student: {model: cnn}
cases:
  from-scratch: []
  soft: {steps: [soft_distillation], teacher: whole}
  by-little: {steps: [soft_distillation], teacher: little}
  also-by-little: {steps: [decoupled_distillation], teacher: little}
measure: [{provider: cpu}]
"""


def test_views_that_found_no_room_are_said_of_the_cases_that_learn_from_them(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE)
    plan, store = (
        make_plan(load(tmp_path / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME})),
        Store(tmp_path / "st"),
    )
    storing = [spec for spec in plan.stages.values() if spec.kind == "teach"]
    data, teacher = (storing[0].inputs[role] for role in ("data", "teacher"))
    for spec in (plan.stages[data], plan.stages[teacher], *storing):
        run_stages([spec.to_json()], str(store.root))
    (said,) = warnings([], plan, store, Standing([], [], []))
    rows = int(0.00001 * 2**30) // 40  # ten logits of four bytes
    assert said.startswith(f"by-little, also-by-little: the teacher's outputs for {rows} of 1,078 views were stored")
