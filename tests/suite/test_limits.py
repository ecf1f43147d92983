"""Limits: which win, how a suite writes them, and what is said of those that are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kdbench.errors import SuiteError
from kdbench.plan.rows import make_plan
from kdbench.run.collect import Results
from kdbench.stages.store import Store
from kdbench.suite import reader as suites
from kdbench.suite.limits import Limits, SuiteLimits
from kdbench.suite.schema import schema
from kdbench.timing.machine import Machine

SUITE = """\
kdbench: 1
name: s
task: digits
seeds: [0]
recipes: {train: {epochs: 1}}
student: {model: cnn}
cases: {from-scratch: []}
measure:
  - {provider: cpu, threads: [1, 2], batch_sizes: [1, 32]}
"""


def loaded(folder: Path, limits: str) -> suites.Suite:
    path = folder / "s.yaml"
    path.write_text(SUITE + limits)
    return suites.load(path)


def test_a_targets_own_limits_win_one_by_one() -> None:
    own: dict[str, Any] = {"latency_p50": "1ms", "batch_size": 1}
    limits = SuiteLimits.from_fields({"latency_p50": "2ms", "bytes": "1MiB", "targets": {"phone": own}})
    assert limits.at("phone").bounds() == {"latency_p50": 1e6, "bytes": 2**20}
    assert limits.at("phone").batch_size == 1
    assert limits.at("desk").bounds() == {"latency_p50": 2e6, "bytes": 2**20}


def test_limits_given_later_win_one_by_one() -> None:
    assert Limits(bytes="1kB").over(Limits(bytes="2kB", memory="1MiB")).written() == {"bytes": "1kB", "memory": "1MiB"}


def test_limits_are_the_same_after_a_round_through_json() -> None:
    limits = SuiteLimits.from_fields({"accuracy_drop": "1pt", "targets": {"phone": {"memory": "64MiB"}}})
    assert SuiteLimits.from_fields(json.loads(json.dumps(limits.as_written()))) == limits


def test_a_suite_carries_its_limits(tmp_path: Path) -> None:
    limits = "limits: {latency_p50: 2ms, targets: {local-cpu-1t-fp32: {latency_p50: 800us, batch_size: 1}}}\n"
    suite = loaded(tmp_path, limits)
    assert suite.limits.at("local-cpu-1t-fp32").written() == {"latency_p50": "800us"}
    assert suite.limits.at("local-cpu-2t-fp32").written() == {"latency_p50": "2ms"}
    assert loaded(tmp_path, "").limits.as_written() == {}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            "{latency: 2ms}",
            "s.yaml:10: limits.latency: limits has no field 'latency'. Did you mean 'latency_p50'?",
        ),
        (
            "{latency_p50: 2}",
            "s.yaml:10: limits.latency_p50: a duration is a number with one of ns, us, µs, μs, ms, s, such as 2ms; "
            "got '2'.",
        ),
        (
            "\n  bytes: 1MiB\n  accuracy_drop: one\n",
            "s.yaml:12: limits.accuracy_drop: a drop in accuracy is a number with one of pt, pts, %, such as 1pt; "
            "got 'one'.",
        ),
        (
            "{targets: {local-cpu-1t-fp32: {accurcy_drop: 1pt}}}",
            "s.yaml:10: limits.targets.local-cpu-1t-fp32.accurcy_drop: limits has no field 'accurcy_drop'. "
            "Did you mean 'accuracy_drop'?",
        ),
        (
            "{accuracy_rise: 1pt}",
            "s.yaml:10: limits.accuracy_rise: accuracy is better where it is higher, and loses by a drop: "
            "accuracy_drop.",
        ),
        (
            "{targets: {local-cpu-4t-fp32: {bytes: 1MiB}}}",
            "s.yaml:10: limits.targets.local-cpu-4t-fp32: there is no target 'local-cpu-4t-fp32'. "
            "Did you mean 'local-cpu-2t-fp32'?",
        ),
        (
            "{targets: {local-cpu-1t-fp32: {batch_size: 8}}}",
            "s.yaml:10: limits.targets.local-cpu-1t-fp32.batch_size: batch size 8 is not measured on "
            "local-cpu-1t-fp32; it has 1, 32.",
        ),
        ("[]", "s.yaml:10: limits: must be a mapping, got []."),
    ],
)
def test_a_wrong_limit_is_named_with_its_line(tmp_path: Path, limits: str, message: str) -> None:
    with pytest.raises(SuiteError) as error:
        loaded(tmp_path, f"limits: {limits}\n")
    assert str(error.value).removeprefix(f"{tmp_path}/") == message


def test_a_memory_limit_where_memory_is_not_measured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.replace("[1, 32]}", "[1, 32], memory: false}") + "limits: {memory: 8MiB}\n")
    with pytest.raises(SuiteError, match="memory is not measured on local-cpu-1t-fp32; leave 'memory: false' out"):
        suites.load(path)


@pytest.mark.parametrize(("text", "valid"), [("2ms", True), ("2 ms", True), ("2", False), ("2MiB", False)])
def test_an_editor_sees_a_unit_that_is_wrong(text: str, valid: bool) -> None:
    data = {
        "kdbench": 1,
        "name": "s",
        "task": "digits",
        "seeds": [0],
        "recipes": {"train": {"epochs": 1}},
        "student": {"model": "cnn"},
        "cases": {"from-scratch": []},
        "measure": [{"provider": "cpu"}],
        "limits": {"targets": {"x": {"latency_p50": text}}},
    }
    assert Draft202012Validator(schema()).is_valid(data) is valid


def test_the_results_folder_carries_the_limits_and_no_stage_depends_on_them(tmp_path: Path) -> None:
    runtime = {"runtime": "onnxruntime", "runtime_version": "1", "fingerprint": "f" * 16, "facts": {}, "also": {}}
    machine = Machine("cpu", "x86_64", {None: runtime})
    without = make_plan(loaded(tmp_path, ""), machine)
    plan = make_plan(loaded(tmp_path, "limits: {latency_p50: 2ms}\n"), machine)
    assert plan.stages.keys() == without.stages.keys()
    Results(tmp_path / "results", plan, Store(tmp_path / "store")).write_plan("kdbench run s.yaml", [])
    assert json.loads((tmp_path / "results" / "plan.json").read_text())["limits"] == {"latency_p50": "2ms"}
