"""Arrays whose output is an embedding, taught by an ONNX file: from the suite to the report's table and the choice."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.neighbors import NearestNeighbors

from kdbench.choose import choose
from kdbench.results.folder import Results, read_results
from kdbench.results.records import Score

SUITE = """
kdbench: 1
name: people
task:
  array_files:
    file: {folder}/all.npz
    split_by: split
    inputs: {{x: {{}}}}
    outputs: {{place: {{key: person, kind: embedding, size: 4, targets: ids, metrics: [recall_at_1, ndcg_at_10]}}}}
recipes: {{train: {{epochs: 12, batch_size: 32, learning_rate: 0.05}}}}
teacher: {{onnx: {folder}/teacher.onnx}}
student: {{model: {{mlp: {{depth: 1, width: 16}}}}, recipe: train}}
baseline: taught
cases:
  taught: [soft_distillation]
  int8: [soft_distillation, static_quantization]
measure: [{{provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false}}]
"""

OWN = """
from kdbench.protocols import Metric


class Spread(Metric):
    unit, range, kinds = "value", (0.0, None), frozenset({"embedding"})

    def value(self, outputs, targets):
        return float(outputs.std())
"""


def _teacher(path: Path) -> None:
    """Drops the four inputs that are noise."""
    weights = numpy_helper.from_array(np.eye(8, 4, dtype=np.float32), "w")
    shapes = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", d]) for n, d in (("x", 8), ("place", 4)))
    given, gives = shapes
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["place"])], "g", [given], [gives], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Results:
    folder = tmp_path_factory.mktemp("people")
    draw, count = np.random.default_rng(0), 600
    person = np.arange(count) // 6
    near = draw.normal(size=(100, 4))[person] + 0.4 * draw.normal(size=(count, 4))
    split = np.choose(person % 4, ["test", "validation", "test", "train"])
    x = np.concatenate([near, draw.normal(size=(count, 4))], axis=1).astype(np.float32)
    np.savez(folder / "all.npz", x=x, person=person, split=split)
    _teacher(folder / "teacher.onnx")
    (folder / "s.yaml").write_text(SUITE.format(folder=folder))
    command = ["run", str(folder / "s.yaml"), "-o", str(folder / "out"), "--store", str(shared_store)]
    done = subprocess.run([sys.executable, "-m", "kdbench", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_results(folder / "out")


def test_recall_is_that_of_scikit_learns_neighbours(results: Results) -> None:
    for record in results.scores("taught"):
        found = results.predictions(record)
        assert found is not None
        near = NearestNeighbors(n_neighbors=2, metric="cosine").fit(found.decisions).kneighbors(return_distance=False)
        assert record.value == pytest.approx((found.targets[near[:, 0]] == found.targets).mean())


def test_the_student_finds_what_its_teacher_finds(results: Results) -> None:
    """Half of the inputs are noise: on them recall@1 is 22 %, on the teacher's four 36 %; chance would give 2 %."""
    (record,) = (one for one in results.scores("taught") if one.split == "test")
    assert record.teacher_agreement_fraction is not None
    assert record.teacher_agreement_fraction > 0.95
    assert record.value is not None
    assert record.value > 0.3


def test_the_table_and_the_choice_speak_of_recall(results: Results) -> None:
    table = (results.folder / "report" / "table.md").read_text()
    assert "| Case | Recall@1 (%) | Against taught (points) |" in table
    (device,) = choose(results.folder).devices
    assert set(device.split_value) == {"taught", "int8"}


def test_a_metric_that_was_added_stays_when_the_suite_is_run_again(results: Results, shared_store: Path) -> None:
    """A registered one is asked again, one of the user's own stays with its pseudo-values as long as the file does."""
    folder = results.folder
    (folder.parent / "mine.py").write_text(OWN)

    def kdbench(*words: str) -> str:
        command = [sys.executable, "-m", "kdbench", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    kdbench("score", "out", "--metric", "recall_at_10", "--metric", "mine.py:Spread")
    before = {one.metric: one.value for one in read_results(folder).of(Score, "taught") if one.split == "test"}
    assert {"recall_at_10", "mine.py:Spread"} < before.keys()
    kdbench("run", "s.yaml", "-o", "out", "--store", str(shared_store))
    found = [one for one in read_results(folder).of(Score, "taught") if one.split == "test"]
    assert {one.metric: one.value for one in found} == before
    assert len(found) == len(before)
    page = (folder / "report" / "index.html").read_text()
    assert "Recall@10" in page
    assert "Spread" in page
