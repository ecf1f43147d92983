"""torch as a reference target: planned beside the others without touching them, run, and told as what it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.results import records
from kdbench.results.records import Failed, Latency, Record, Score, Size, labelled
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
TORCH = {**RUNTIME, "runtime": "torch", "runtime_version": "2.15.0", "fingerprint": "e" * 16}
MACHINE = Machine("cpu", "x86_64", {None: RUNTIME}, {(None, "torch"): TORCH})
HERE, REFERENCE = "local-cpu-1t-fp32", "local-torch-1t-fp32"
SUITE = """
kdbench: 1
name: reference
task: digits
seeds: [0]
recipes:
  train: {epochs: 4, learning_rate: 0.05}
student: {model: {cnn: {channels: [16, 32]}}, recipe: train}
cases:
  from-scratch: []
  int8: [dynamic_quantization]
measure:
  - {provider: cpu, batch_sizes: [1], processes: 3, calls: 100, seconds: 0, memory: false, start: false}
"""
ENTRY = "  - {provider: torch, batch_sizes: [1], processes: 3, calls: 100, seconds: 0, memory: false, start: false}\n"
PRUNED = "  pruned: [structured_pruning: {channel_fraction: 0.5, recipe: train}]\n"


def planned(folder: Path, text: str) -> Plan:
    path = folder / "s.yaml"
    path.write_text(text)
    return make_plan(load(path), MACHINE)


def kinds_on(plan: Plan, case: str, target: str) -> list[str]:
    mine = [label.key for label in plan.labels if (label.case, label.target) == (case, target)]
    return [plan.stages[key].kind for key in mine]


def test_a_reference_target_changes_no_stage_of_the_others(tmp_path: Path) -> None:
    alone = planned(tmp_path, SUITE)
    both = planned(tmp_path, SUITE + ENTRY)
    first = planned(tmp_path, SUITE.replace("measure:\n", "measure:\n" + ENTRY))
    assert alone.stages.keys() < both.stages.keys() == first.stages.keys()
    added = sorted(both.stages[key].kind for key in both.stages.keys() - alone.stages.keys())
    assert added == ["evaluate", "measure", "trace"]


def test_torch_runs_what_torch_made_and_says_of_the_rest_why_not(tmp_path: Path) -> None:
    cases = PRUNED + "  aware: [quantization_aware_training: {recipe: train}]\n"
    plan = planned(tmp_path, SUITE.replace("measure:\n", cases + "measure:\n") + ENTRY)
    assert kinds_on(plan, "pruned", REFERENCE) == ["evaluate", "measure"]
    assert kinds_on(plan, "int8", HERE) == ["compress", "evaluate", "measure"]
    assert kinds_on(plan, "int8", REFERENCE) == []
    said = {label.case: reason for label, reason in plan.skipped.items()}
    assert said.keys() == {"int8", "aware"}
    assert said["int8"].startswith("dynamic_quantization changes the ONNX file")
    assert said["aware"].startswith("quantization_aware_training gives integers in the ONNX file only")
    assert {label.target for label in plan.skipped} == {REFERENCE}


def test_a_row_is_timed_beside_torchs_own_files(tmp_path: Path) -> None:
    plan = planned(tmp_path, SUITE.replace("measure:\n", PRUNED + "measure:\n") + ENTRY)
    (timed,) = [
        plan.stages[label.key]
        for label in plan.labels
        if (label.case, label.target) == ("pruned", REFERENCE) and plan.stages[label.key].kind == "measure"
    ]
    assert {plan.stages[timed.inputs[role]].kind for role in ("model", "baseline", "origin")} == {"trace"}
    assert timed.numerics == {"fingerprint": "e" * 16}
    evaluated = plan.stages[timed.inputs["answers"]]
    assert (evaluated.numerics["runtime"], evaluated.numerics["runtime_version"]) == ("torch", "2.15.0")


def test_a_baseline_that_torch_cannot_run_is_left_out_of_its_rows(tmp_path: Path) -> None:
    plan = planned(tmp_path, SUITE.replace("cases:", "baseline: int8\ncases:") + ENTRY)
    timed = {
        label.target: plan.stages[label.key]
        for label in plan.labels
        if label.case == "from-scratch" and plan.stages[label.key].kind == "measure"
    }
    assert "baseline" in timed[HERE].inputs
    assert "baseline" not in timed[REFERENCE].inputs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> list[Record]:
    folder = tmp_path_factory.mktemp("reference")
    (folder / "s.yaml").write_text(SUITE + ENTRY)
    where = ["--store", str(shared_store), "-o", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "kdbench", "run", str(folder / "s.yaml"), *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # a row that cannot be is no failure
    said = " ".join(done.stdout.split())
    assert "no deployment target" in said
    assert "no size was recorded" not in said  # nor is a size missing where nobody deploys
    return records.read(folder / "out" / "records.jsonl")


def test_torch_answers_as_the_onnx_file_and_its_times_say_that_they_are_torchs(finished: list[Record]) -> None:
    found = [r for r in labelled(finished) if r.case == "from-scratch" and r.target == REFERENCE]
    (latency,) = [record for record in found if isinstance(record, Latency)]
    assert latency.runtime == "torch"
    assert latency.effective_precision == "fp32"
    assert latency.graph_optimization is None
    assert [len(process) for process in latency.samples_ns] == [100, 100, 100]
    values = {
        (record.target, record.split): record.correct_count
        for record in finished
        if isinstance(record, Score) and record.case == "from-scratch"
    }
    assert values[REFERENCE, "test"] == values[HERE, "test"]
    assert all((record.max_abs_logit_difference or 0) < 1e-4 for record in found if isinstance(record, Score))
    assert not any(isinstance(record, Size) for record in found)


def test_a_row_that_cannot_be_is_skipped_with_its_reason(finished: list[Record]) -> None:
    found = [r for r in finished if isinstance(r, Failed) and r.case == "int8" and r.target == REFERENCE]
    assert {record.kind for record in found} == {"score", "latency"}
    assert {record.status for record in found} == {"skipped"}
    assert all("changes the ONNX file" in record.reason for record in found)
