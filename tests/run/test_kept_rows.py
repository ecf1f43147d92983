"""What a run may not take from a folder: files that are not its own, and rows that it was not asked for."""

from pathlib import Path

import pytest

from kdbench.errors import StoreError
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rows import make_plan
from kdbench.results import records
from kdbench.results.records import Failed, Record, Score
from kdbench.run.collect import Failure, Results
from kdbench.stages.store import Store
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0]
recipes: {train: {epochs: 1, learning_rate: 0.05}, finetune: {epochs: 1, learning_rate: 0.05}}
student: {model: {cnn: {channels: [8, 8]}}, recipe: train}
cases: {from-scratch: [], pruned: [structured_pruning: {channel_fraction: 0.5}], int8: [dynamic_quantization]}
measure: [{provider: cpu}]
"""


class Kept:
    """A results folder whose suite was run whole, and whose store was cleaned since."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"
        self.plan = self.planned()
        self.results.mkdir()
        made = Results(self.results, self.plan, Store(folder / "store"))
        made.begin("kdbench run s.yaml")
        records.append(self.results / "records.jsonl", [self.row(label) for label in self.evaluated()])

    def planned(self, change: str = "", to: str = "", name: str = "s") -> Plan:
        path = self.folder / "s.yaml"
        path.write_text(SUITE.replace("name: s\n", f"name: {name}\n").replace(change or "\0", to))
        return make_plan(load(path), Machine("cpu", "x86_64", {None: RUNTIME}))

    def evaluated(self, plan: Plan | None = None) -> list[Label]:
        chosen = plan or self.plan
        return [label for label in chosen.labels if chosen.stages[label.key].kind == "evaluate"]

    def row(self, label: Label) -> Record:
        """A row as a run writes it, with a file of predictions in the folder."""
        path = f"predictions/{label.case}/seed{label.seed}-{label.key[:8]}.npz"
        (self.results / path).parent.mkdir(parents=True, exist_ok=True)
        (self.results / path).touch()
        steps = tuple({step.spec.name: step.spec.fields} for step in self.plan.cases[label.case].steps)
        labels = {"suite": "s", "case": label.case, "seed": 0, "key": label.key, "target": label.target}
        own = {"metric": "accuracy", "direction": "higher", "value": 0.5, "split": "test", "runtime": "onnxruntime 1"}
        return Score(**labels, **own, steps=steps, example_count=4, correct_count=2, predictions_path=path)  # type: ignore[arg-type]

    def rerun(self, plan: Plan, *cases: str) -> list[str]:
        """Run some cases of a plan with a store that has nothing, where all of them fail; the warnings."""
        asked = [label for label in self.evaluated(plan) if label.case in cases]
        run = Results(self.results, plan, Store(self.folder / "cleaned"))
        run.begin("")
        return run.finish(asked, {label.key: Failure("failed", "no.", "logs/no.txt") for label in asked}, "")

    def rows(self) -> dict[str, str]:
        """Case -> status of its row."""
        found = records.read(self.results / "records.jsonl")
        ok = {row.case: "ok" for row in found if isinstance(row, Score)}
        return ok | {row.case: row.status for row in found if isinstance(row, Failed) and row.kind == "score"}

    def files(self) -> set[str]:
        return {path.parent.name for path in (self.results / "predictions").rglob("*.npz")}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_rows_that_were_not_asked_for_stay_where_the_store_was_cleaned(kept: Kept) -> None:
    assert kept.rerun(kept.plan, "pruned") == []
    assert kept.rows() == {"from-scratch": "ok", "pruned": "failed", "int8": "ok"}
    assert kept.files() == {"from-scratch", "int8"}


def test_a_run_that_is_stopped_leaves_every_row_as_it_was(kept: Kept) -> None:
    before = (kept.results / "records.jsonl").read_bytes()
    Results(kept.results, kept.plan, Store(kept.folder / "cleaned")).begin("")
    assert (kept.results / "records.jsonl").read_bytes() == before


def test_rows_of_an_earlier_recipe_stay_and_are_named(kept: Kept) -> None:
    edited = kept.planned("epochs: 1", "epochs: 2")
    (warning,) = kept.rerun(edited, "pruned")
    assert kept.rows() == {"from-scratch": "ok", "pruned": "failed", "int8": "ok"}
    assert warning.startswith("from-scratch, int8: ")


def test_a_row_never_stands_for_another_chain(kept: Kept) -> None:
    edited = kept.planned("channel_fraction: 0.5", "channel_fraction: 0.25")
    kept.rerun(edited, "int8")
    assert kept.rows() == {"from-scratch": "ok", "int8": "failed"}


def test_cases_that_the_suite_no_longer_has_go_with_their_files_and_a_word(kept: Kept) -> None:
    (kept.results / "predictions" / "mine").mkdir()
    (kept.results / "predictions" / "mine" / "seeds.npz").touch()
    smaller = kept.planned(", int8: [dynamic_quantization]", "")
    (warning,) = kept.rerun(smaller, "pruned")
    assert warning.startswith("int8: no longer in the suite")
    assert kept.rows() == {"from-scratch": "ok", "pruned": "failed"}
    assert kept.files() == {"from-scratch", "mine"}  # what no record names is nobody's to remove


def test_a_record_cannot_have_a_file_elsewhere_removed(kept: Kept) -> None:
    (kept.folder / "important.txt").touch()
    (kept.results / "important.txt").touch()
    path = kept.results / "records.jsonl"
    text = path.read_text()
    for evil in ("../important.txt", "predictions/../important.txt"):
        path.write_text(text.replace("predictions/pruned/seed0", evil + "\0", 1).partition("\0")[0] + '"}\n')
        kept.rerun(kept.plan, "pruned", "from-scratch", "int8")
    assert (kept.folder / "important.txt").exists()
    assert (kept.results / "important.txt").exists()


@pytest.mark.parametrize("name", ["notes.txt", "plan.json", "records.jsonl", "logs/important.txt"])
def test_a_folder_with_other_files_is_refused_and_left_alone(name: str, kept: Kept, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / name).parent.mkdir(parents=True)
    (project / name).write_text('{"mine": true}')
    with pytest.raises(StoreError, match="is not empty and holds no results of kdbench; name a new or an empty folder"):
        Results(project, kept.plan, Store(tmp_path / "store"))
    assert [path for path in project.rglob("*") if path.is_file()] == [project / name]
    assert (project / name).read_text() == '{"mine": true}'


def test_another_suites_results_are_refused_and_left_alone(kept: Kept) -> None:
    before = {path: path.read_bytes() for path in kept.results.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match=r"holds results of the suite 's', not of 'other'; name another"):
        Results(kept.results, kept.planned(name="other"), Store(kept.folder / "store"))
    assert {path: path.read_bytes() for path in kept.results.rglob("*") if path.is_file()} == before


def test_records_alone_say_whose_a_folder_is(kept: Kept) -> None:
    (kept.results / "plan.json").unlink()
    kept.rerun(kept.plan, "pruned")
    with pytest.raises(StoreError, match="holds results of the suite 's'"):
        Results(kept.results, kept.planned(name="other"), Store(kept.folder / "store"))
