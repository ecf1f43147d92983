"""plan.json: written and read as one class, whatever version wrote it; what is damaged is one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench import registry
from kdbench.errors import StoreError
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.results.plan_json import RecordedPlan, read_plan
from kdbench.results.records import Failed
from kdbench.run.plan_json import recorded_plan
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0, 1]
recipes: {train: {epochs: 1, learning_rate: 0.05}, finetune: {epochs: 1, learning_rate: 0.05}}
teacher: {model: {cnn: {channels: [16, 16]}}, recipe: train}
student: {model: {cnn: {channels: [8, 8]}}, recipe: train}
cases:
  from-scratch: []
  fit: [fitnet: {student_layer: features, teacher_layer: features}]
  small: [low_rank: {rank_fraction: 0.5}]
  shared: [weight_sharing: {clusters: 16}]
  both: [soft_distillation, dynamic_quantization]
measure: [{provider: cpu}]
"""


def planned(folder: Path) -> Plan:
    (folder / "s.yaml").write_text(SUITE)
    return make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))


def read(folder: Path, data: Any) -> RecordedPlan:
    (folder / "plan.json").write_text(json.dumps(data))
    found = read_plan(folder)
    assert found is not None
    return found


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    plan = recorded_plan(planned(tmp_path), "kdbench run s.yaml", ["mind the gap."])
    plan.write(tmp_path)
    assert read_plan(tmp_path) == plan
    assert (plan.seeds, plan.targets, plan.warnings) == ((0, 1), ("local-cpu-1t-fp32",), ("mind the gap.",))
    assert plan.measured("local-cpu-1t-fp32")["session"]["provider"] == "cpu"
    assert plan.measured("board-cpu-1t-fp32") == {}


def test_a_case_has_the_family_that_its_technique_says(tmp_path: Path) -> None:
    families = {name: case.family for name, case in recorded_plan(planned(tmp_path), "", []).cases.items()}
    assert families == {
        "from-scratch": "reference",
        "fit": registry.resolve("technique", "fitnet").family,
        "small": registry.resolve("technique", "low_rank").family,
        "shared": "quantization",
        "both": "chain",
    }


def test_a_file_of_an_earlier_version_is_read_as_it_would_be_written_today(tmp_path: Path) -> None:
    old = read(
        tmp_path,
        {
            "suite": "s",
            "about": None,
            "teachers": ["second"],
            "cases": {
                "teacher": {"steps": []},
                "plain": {"steps": []},
                "soft": {"steps": [{"soft_distillation": {"temperature": 4}}], "student": "cnn"},
                "pair": {"steps": ["soft_distillation", "dynamic_quantization"], "baseline": "plain"},
                "fit": {"steps": ["fitnet"], "family": "distillation"},
            },
        },
    )
    assert {name: case.family for name, case in old.cases.items()} == {
        "plain": "reference",
        "soft": "distillation",
        "pair": "chain",
        "fit": "distillation",
    }
    assert old.cases["soft"].steps == ("soft_distillation",)
    assert old.teachers == ("teacher", "second")
    assert (old.about, old.baseline) == ("", "from-scratch")


def test_what_a_plan_lacks_is_as_the_records_say(tmp_path: Path) -> None:
    rows = [
        Failed(suite="s", case=case, seed=seed, key="k", kind="training", reason="no.", steps=({"fitnet": {}},))
        for case, seed in (("teacher", 7), ("fit", 1), ("fit", 0))
    ]
    found = RecordedPlan().completed(rows)
    assert (found.suite, found.seeds, list(found.cases)) == ("s", (0, 1), ["fit"])
    assert found.cases["fit"].steps == ("fitnet",)
    assert read(tmp_path, {"suite": "mine", "seeds": [3]}).completed(rows).seeds == (3,)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], ""),
        ({"cases": 7}, "cases"),
        ({"cases": {"a": 7}}, r"cases\.a"),
        ({"cases": {"a": {"steps": 7}}}, r"cases\.a\.steps"),
        ({"cases": {"a": {"steps": [[]]}}}, r"cases\.a\.steps\.0"),
        ({"cases": {"a": {"uncompressed_step_count": "many"}}}, r"cases\.a\.uncompressed_step_count"),
        ({"seeds": "none"}, "seeds"),
        ({"targets": [{}]}, r"targets\.0"),
        ({"measure": {"t": {"session": []}}}, r"measure\.t\.session"),
        ({"measure": {"t": {"batch_sizes": 1}}}, r"measure\.t\.batch_sizes"),
        ({"warnings": {"a": 1}}, "warnings"),
    ],
)
def test_a_damaged_plan_is_one_sentence_with_the_place(data: Any, place: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=rf"plan\.json' is damaged \({place}.*; remove it, then the records alone"):
        read(tmp_path, data)


@pytest.mark.parametrize("text", ["", "{", "\udcff", "[" * 100_000])
def test_a_file_that_is_no_json_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StoreError, match="is damaged"):
        read_plan(tmp_path)
