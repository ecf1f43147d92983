"""A metric of the suite's own file travels with the evaluations, and their keys depend on its source."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
MACHINE = Machine("cpu", "x86_64", {None: RUNTIME})
SUITE = """
kdbench: 1
name: own
task: {table: {file: data.csv, target: load, metrics: [rmse, "mine.py:Worst"]}}
recipes:
  train: {epochs: 1, learning_rate: 0.05}
student: {model: {table_mlp: {}}, recipe: train}
cases:
  from-scratch: []
measure:
  - {provider: cpu, batch_sizes: [1]}
"""
WORST = '''
from kdbench.protocols import Metric


class Worst(Metric):
    """The largest error."""

    direction = "lower"
    unit = "value"
    range = (0.0, None)
    kinds = frozenset({"values"})

    def value(self, outputs, targets):
        return float(abs(outputs - targets).max())
'''


def planned(folder: Path, source: str) -> Plan:
    (folder / "data.csv").write_text("a,load\n" + "".join(f"{n}.5,{2 * n}.25\n" for n in range(60)))
    (folder / "mine.py").write_text(source)
    (folder / "s.yaml").write_text(SUITE)
    return make_plan(load(folder / "s.yaml"), MACHINE)


def keys(plan: Plan, kind: str) -> set[str]:
    return {key for key, spec in plan.stages.items() if spec.kind == kind}


def test_only_evaluations_depend_on_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = planned(tmp_path, WORST)
    (spec,) = [spec for spec in plan.stages.values() if spec.kind == "evaluate"]
    assert spec.parts.keys() == {"mine.py:Worst"}
    assert spec.parts["mine.py:Worst"].build().value(np.array([3.0]), np.array([1.0])) == 2.0
    changed = planned(tmp_path, WORST.replace(".max()", ".min()"))
    assert keys(changed, "train") == keys(plan, "train")
    assert keys(changed, "evaluate").isdisjoint(keys(plan, "evaluate"))


def test_trainings_do_too_where_it_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Selection and early stopping go by it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"{__name__}.SUITE", SUITE.replace('[rmse, "mine.py:Worst"]', '["mine.py:Worst"]'))
    plan = planned(tmp_path, WORST)
    (spec,) = [spec for spec in plan.stages.values() if spec.kind == "train"]
    assert "mine.py:Worst" in spec.parts
    assert keys(planned(tmp_path, WORST.replace(".max()", ".min()")), "train").isdisjoint(keys(plan, "train"))
