"""What a suite says of how teachers' outputs are stored, and what `kdbench plan` says of the disk that they take."""

from collections import namedtuple
from pathlib import Path

import pytest

from kdbench import files
from kdbench.cli._plan_text import plan_text
from kdbench.errors import SuiteError
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.protocols import Output
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages
from kdbench.suite.data_checks import refuse_misfits
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """\
kdbench: 1
name: s
task: digits
recipes: {train: {epochs: 2}}
teacher: {model: {cnn: {channels: [16, 32]}}, recipe: train%s}
student: {model: cnn}
cases: {from-scratch: [], soft: [soft_distillation]}
measure: [{provider: cpu}]
"""
FORM = ", stored: {precision: fp16, top_k: 3}"


def planned(folder: Path, said: str) -> Plan:
    (folder / "s.yaml").write_text(SUITE % said)
    return make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))


def storing(plan: Plan) -> StageSpec:
    (spec,) = (spec for spec in plan.stages.values() if spec.kind == "teach")
    return spec


def test_a_form_is_part_of_the_stored_table_alone(tmp_path: Path) -> None:
    whole, smaller = storing(planned(tmp_path, "")), storing(planned(tmp_path, FORM))
    assert (whole.settings, smaller.settings) == ({}, {"stored": {"precision": "fp16", "top_k": 3}})
    assert whole.inputs == smaller.inputs
    assert storing(planned(tmp_path, ", stored: {precision: fp32, gibibytes: 4}")).key == whole.key


def test_plan_says_how_much_disk_the_outputs_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, plan = Store(tmp_path / "store"), planned(tmp_path, FORM)
    assert "1 table of teachers' outputs may take 4.00 GiB on disk, less where" in plan_text(plan, plan.labels, store)
    spec = storing(plan)
    run_stages([plan.stages[spec.inputs["data"]].to_json()], str(store.root))
    count = read_description(store.folder(spec.inputs["data"])).example_counts["train"]
    said = plan_text(plan, plan.labels, store)
    taken = count * (4 * 2 + 3)  # three logits and that of the others in two bytes, three classes in one
    assert f"may take {taken / 1024:.1f} KiB on disk.\n" in said
    tight = planned(tmp_path, ", stored: {gibibytes: 0.00001}")
    assert "Some views find no room" in plan_text(tight, tight.labels, store)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(4096))
    assert "4.00 KiB are free: store less, by `stored: {precision: fp16" in plan_text(plan, plan.labels, store)


def test_more_logits_than_there_are_classes_are_refused_once_these_are_known(tmp_path: Path) -> None:
    plan, store = planned(tmp_path, ", stored: {top_k: 10}"), Store(tmp_path / "store")
    data = storing(plan).inputs["data"]
    run_stages([plan.stages[data].to_json()], str(store.root))
    with pytest.raises(SuiteError, match=r"s.yaml:5: teacher.stored.top_k: 10 of 10 classes leaves none out; store"):
        refuse_misfits(plan.suite, read_description(store.folder(data)).outputs)


def test_values_have_no_largest_logits() -> None:
    values = Output(kind="values", axes=(1,), value_names=("load",))
    assert "no output of the task tells classes (values)" in str(StoredOutputs(top_k=2).misfit((values,)))
    assert StoredOutputs(precision="fp16").misfit((values,)) is None
