"""Timed more than once: the newest whole timing counts in every run, and a suite's files are timed when they exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.errors import StoreError, SuiteError
from kdbench.measure import energy
from kdbench.plan import repeats
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rows import make_plan
from kdbench.results import records
from kdbench.results.records import Latency
from kdbench.run import collect
from kdbench.stages.store import Store
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: timed
task: digits
seeds: [0]
recipes: {train: {epochs: 4, learning_rate: 0.05}}
teacher: {model: {cnn: {channels: [32, 64]}}, recipe: train}
student: {model: {cnn: {channels: [16, 32]}}, recipe: train}
cases:
  from-scratch: []
  int8: [static_quantization: {samples: 8}]
measure:
  - {provider: cpu, batch_sizes: [1], processes: 3, calls: 20, seconds: 0, memory: false, start: false}
"""
TARGET = "local-cpu-1t-fp32"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    suite = tmp_path / "timed.yaml"
    suite.write_text(SUITE)
    return make_plan(load(suite), Machine("cpu", "x86_64", {None: RUNTIME}))


def publish(store: Store, *keys: str) -> None:
    for key in keys:
        if not store.has(key):
            (store.scratch(key) / "records.json").write_text("[]")
            store.publish(key)


def measured(plan: Plan) -> dict[str, Label]:
    return {label.case: label for label in plan.labels if plan.stages[label.key].kind == "measure"}


def repeat_of(plan: Plan, case: str) -> int:
    number: int = plan.stages[measured(plan)[case].key].settings["repeat"]
    return number


def again(plan: Plan, store: Store, *cases: str) -> Plan:
    return repeats.again(plan, store, repeats.measurements(plan, store, cases))


def planned(plan: Plan, store: Store) -> Plan:
    """As any later run plans it."""
    return make_plan(plan.suite, plan.machine, repeats.newest(store))


def test_what_is_timed_again_gets_a_number_and_a_key_of_its_own_and_nothing_else_changes(
    plan: Plan, store: Store
) -> None:
    publish(store, *plan.stages)
    renewed = again(plan, store, "int8")
    assert (repeat_of(renewed, "int8"), repeat_of(renewed, "from-scratch")) == (1, 0)
    assert renewed.stages.keys() - plan.stages.keys() == {measured(renewed)["int8"].key}
    assert plan.stages.keys() - renewed.stages.keys() == {measured(plan)["int8"].key}


def test_a_later_run_keeps_to_the_newest_times_once_they_are_whole(plan: Plan, store: Store) -> None:
    publish(store, *plan.stages)
    renewed = again(plan, store, "int8")
    assert repeat_of(planned(plan, store), "int8") == 0  # stopped before it was timed: the times there are stay
    publish(store, *renewed.stages)
    assert repeat_of(planned(plan, store), "int8") == 1
    assert planned(plan, store).stages.keys() == renewed.stages.keys()


def test_older_times_may_be_cleaned_away(plan: Plan, store: Store) -> None:
    publish(store, *plan.stages)
    publish(store, *again(plan, store, "int8").stages)
    store.discard(measured(plan)["int8"].key)
    assert repeat_of(planned(plan, store), "int8") == 1


def test_a_number_is_never_given_twice(plan: Plan, store: Store) -> None:
    publish(store, *plan.stages)
    numbers = [repeat_of(again(plan, store), "int8") for _ in range(3)]  # none of them was finished
    assert numbers == [1, 2, 3]


def test_what_was_never_timed_is_timed_for_the_first_time(plan: Plan, store: Store) -> None:
    publish(store, *(key for key, spec in plan.stages.items() if spec.kind != "measure"))
    assert repeat_of(again(plan, store), "int8") == 0


def test_rows_whose_files_are_missing_are_left_out_and_all_of_them_is_a_sentence(plan: Plan, store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        repeats.measurements(plan, store)
    assert str(caught.value) == (
        f"the store '{store.root}' has no finished files of this suite to time; run it first: kdbench run "
        f"{plan.suite.document.path}"
    )
    lineage = [key for case in ("teacher", "from-scratch") for key in plan.lineage(measured(plan)[case].key)]
    answers = [plan.stages[measured(plan)[case].key].inputs["answers"] for case in ("teacher", "from-scratch")]
    publish(store, *lineage, *answers)
    assert {label.case for label in repeats.measurements(plan, store)} == {"teacher", "from-scratch"}


def test_globs_choose_rows_seeds_and_targets_and_say_when_nothing_matches(plan: Plan, store: Store) -> None:
    publish(store, *plan.stages)
    assert [label.case for label in repeats.measurements(plan, store, ["t*"], ["0"], [TARGET])] == ["teacher"]
    with pytest.raises(SuiteError, match=r"no case of this suite matches 'int9'\. Did you mean 'int8'\?"):
        repeats.measurements(plan, store, ["int9"])
    with pytest.raises(SuiteError, match="no target of this suite matches 'local-gpu'"):
        repeats.measurements(plan, store, targets=["local-gpu"])


def test_energy_that_cannot_be_read_is_a_warning_with_its_reason(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "energy.yaml"
    suite.write_text(SUITE.replace("start: false", "energy: true"))
    asked = make_plan(load(suite), Machine("cpu", "x86_64", {None: RUNTIME}))
    monkeypatch.setattr(energy, "counter", lambda provider: (None, f"nothing counts {provider}."))
    said = f"no energy was read on {TARGET}: nothing counts cpu."
    assert said in collect.Results(tmp_path / "r", asked, store).finish([], {}, "")
    monkeypatch.setattr(energy, "counter", lambda provider: ("rapl", ""))
    assert said not in collect.Results(tmp_path / "r", asked, store).finish([], {}, "")


class Place:
    """The suite as a user runs it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder, self.store, self.results = folder, store, folder / "results"
        (folder / "timed.yaml").write_text(SUITE)

    def said(self, verb: str, *arguments: str, code: int = 0) -> str:
        where = ["--store", str(self.store), "-o", str(self.results)]
        command = [sys.executable, "-m", "kdbench", verb, str(self.folder / "timed.yaml"), *where, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == code, done.stderr
        return done.stderr

    def latencies(self) -> dict[str, Latency]:
        found = records.read(self.results / "records.jsonl")
        return {record.case: record for record in found if isinstance(record, Latency)}


def test_measure_again_before_any_run_says_to_run_first(tmp_path: Path) -> None:
    assert "run it first: kdbench run" in Place(tmp_path, tmp_path / "store").said("measure", "--again", code=2)


def test_measure_again_replaces_the_times_of_a_row_for_good(tmp_path: Path, shared_store: Path) -> None:
    place = Place(tmp_path, shared_store)
    place.said("run")
    before = place.latencies()
    assert "1 stages computed" in place.said("measure", "--again", "--case", "int8")
    after = place.latencies()
    assert {case: record.repeat for case, record in after.items()} == {"teacher": 0, "from-scratch": 0, "int8": 1}
    assert after["int8"].samples_ns != before["int8"].samples_ns
    assert after["from-scratch"] == before["from-scratch"]
    assert "Nothing to do" in place.said("run")
    assert place.latencies() == after
