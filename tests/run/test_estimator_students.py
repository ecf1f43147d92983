"""Suites whose students are no networks: what is refused and where, and one that is run to its report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.errors import SuiteError
from kdbench.models.estimators import DecisionTree
from kdbench.results import records
from kdbench.results.records import Latency, Record, Score, Size, Training
from kdbench.suite.reader import load

pytest.importorskip("skl2onnx")

SUITE = """\
kdbench: 1
name: trees
task: digits
seeds: [0]
recipes: {train: {epochs: 4, learning_rate: 0.05}, finetune: {epochs: 1}}
teacher: {model: {cnn: {channels: [32, 64]}}}
student: {model: {decision_tree: {copies: 1, max_depth: 8}}}
cases:
  from-scratch: []
  hard: [hard_distillation]
  soft: [soft_distillation]
  forest: {student: {model: {random_forest: {tree_count: 3, copies: 0}}}, steps: [hard_distillation]}
  linear: {student: {model: {linear: {copies: 0}}}, steps: [logit_matching]}
measure: [{provider: cpu, batch_sizes: [1], processes: 3, calls: 20, seconds: 0, memory: false, start: false}]
"""


def message(folder: Path, old: str, new: str) -> str:
    assert SUITE.count(old) == 1
    (folder / "s.yaml").write_text(SUITE.replace(old, new))
    with pytest.raises(SuiteError) as error:
        load(folder / "s.yaml")
    return str(error.value).removeprefix(f"{folder}/")


def test_a_suite_of_trees_is_right(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE)
    assert len(load(tmp_path / "s.yaml").cases) == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "hard: [hard_distillation]",
            "hard: [structured_pruning: {channel_fraction: 0.5}]",
            "s.yaml:10: cases.hard.0: structured_pruning cannot teach the student decision_tree: it works on "
            "the weights of networks, and has no targets that anything else could be fitted to.",
        ),
        (
            "soft: [soft_distillation]\n  forest",
            "soft: [soft_distillation, static_quantization]\n  forest",
            "s.yaml:11: cases.soft.1: static_quantization cannot teach the student decision_tree: it works on "
            "the weights of networks, and has no targets that anything else could be fitted to.",
        ),
        (
            "hard: [hard_distillation]",
            "hard: [hard_distillation, soft_distillation]",
            "s.yaml:10: cases.hard.1: decision_tree is fitted once, by hard_distillation; leave this step out.",
        ),
        (
            "hard: [hard_distillation]",
            "hard: [soft_distillation: {samples: unsure}]",
            "s.yaml:10: cases.hard.0: soft_distillation cannot teach the student decision_tree: 'samples' and "
            "'unlabelled' are for networks; leave them out.",
        ),
        (
            "teacher: {model: {cnn: {channels: [32, 64]}}}",
            "teacher: {model: random_forest}",
            "s.yaml:6: teacher: random_forest is no network, and cannot teach.",
        ),
        (
            "linear: {student",
            "linear: {teacher: {case: hard}, student",
            "s.yaml:13: cases.linear.teacher: decision_tree is no network, and cannot teach.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert message(tmp_path, old, new) == said


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DecisionTree, "packages", frozenset({"no-such-package"}))
    said = message(tmp_path, "cases:", "cases:")
    expected = (
        "s.yaml:9: cases.from-scratch: the student decision_tree cannot be fitted here: no-such-package is not "
        "installed; type: pip install 'kdbench[estimators]'."
    )
    assert said.splitlines()[0] == expected


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kdbench", *arguments], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    (folder / "s.yaml").write_text(SUITE)
    where = ["--store", str(shared_store), "-o", "results"]
    (folder / "said").write_text(run(folder, "run", "s.yaml", *where, "--jobs", "1"))
    return folder


def of(folder: Path, kind: type[Record]) -> dict[str, Record]:
    found = [r for r in records.read(folder / "results" / "records.jsonl") if isinstance(r, kind)]
    return {r.case: r for r in found if getattr(r, "split", "test") == "test"}


def test_every_row_is_evaluated_measured_and_sized(finished: Path) -> None:
    rows = {"teacher", "from-scratch", "hard", "soft", "forest", "forest/from-scratch", "linear", "linear/from-scratch"}
    for kind in (Score, Latency, Size, Training):
        found = of(finished, kind)
        assert set(found) == rows


def test_a_tree_has_no_multiply_accumulates_and_a_matrix_has(finished: Path) -> None:
    sizes = of(finished, Size)
    tree, linear = sizes["hard"], sizes["linear"]
    assert isinstance(tree, Size)
    assert isinstance(linear, Size)
    assert (tree.mac_count, tree.mac_rule) == (None, "none to count: trees compare and add")
    assert (linear.mac_count, linear.parameter_count) == (640, 650)
    assert "mac_count" not in records.to_line(tree)


def test_taught_trees_beat_guessing_and_agree_with_their_teacher(finished: Path) -> None:
    for case in ("from-scratch", "hard", "soft", "forest", "linear"):
        found = of(finished, Score)[case]
        assert isinstance(found, Score)
        assert found.value > 0.6
        assert found.teacher_agreement_fraction is not None
        assert found.max_abs_logit_difference is not None


def test_the_report_says_why_a_number_is_missing(finished: Path) -> None:
    table = (finished / "results" / "report" / "index.html").read_text()
    assert "none to count: trees compare and add" in table
    assert "hard" in (finished / "said").read_text()


def test_a_tree_is_handed_over_and_runs_alone(finished: Path) -> None:
    run(finished, "get", "results", "hard", "-o", "mine")
    manifest = json.loads((finished / "mine" / "manifest.json").read_text())
    assert "mac_count" not in manifest["model"]
    done = subprocess.run(
        [sys.executable, "predict.py"], capture_output=True, text=True, check=True, cwd=finished / "mine"
    )
    accuracy, recorded = done.stdout.splitlines()
    assert accuracy.split()[1:] == recorded.split()[1:5]


def test_what_is_computed_once_is_not_computed_again(finished: Path, shared_store: Path) -> None:
    assert "Nothing to do" in run(finished, "plan", "s.yaml", "--store", str(shared_store))
