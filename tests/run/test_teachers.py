"""Every kind of teacher a suite can name, in one run: trained, a weights file, an ONNX file, a case, several."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.results import records
from kdbench.results.records import Compression, Failed, Record, Score, Size, Training, labelled
from kdbench.stages.store import Store

HEAD = """
kdbench: 1
name: teachers
task: digits
seeds: [0]
recipes: {train: {epochs: 6, learning_rate: 0.05}}
student: {model: {cnn: {channels: [16, 32]}}}
measure: [{provider: cpu, processes: 3, calls: 20, seconds: 0, memory: false, start: false}]
"""
MADE = (
    HEAD
    + """
teacher: {model: {cnn: {channels: [32, 64]}}}
cases: {from-scratch: []}
"""
)
TAUGHT = (
    HEAD
    + """
teacher: {model: {cnn: {channels: [32, 64]}}}
teachers:
  weights: {model: {cnn: {channels: [32, 64]}}, weights: teacher.safetensors}
  file: {onnx: teacher.onnx}
cases:
  from-scratch: []
  trained: [soft_distillation]
  weights: {teacher: weights, steps: [soft_distillation]}
  file: {teacher: file, steps: [soft_distillation]}
  case: {teacher: {case: trained}, steps: [soft_distillation]}
  several: {teacher: [weights, file], steps: [multi_teacher]}
  tuned: {student: {model: {cnn: {channels: [32, 64]}}}, steps: [transfer_learning: {source: teacher.safetensors}]}
  by-tuned: {teacher: {case: tuned}, steps: [soft_distillation]}
  sparse: {steps: [], regularizer: {penalty: l1, weight: 1e-2}}
"""
)


def run(folder: Path, name: str, text: str, store: Path) -> Path:
    (folder / f"{name}.yaml").write_text(text)
    where = ["--store", str(store), "-o", str(folder / name)]
    command = [sys.executable, "-m", "kdbench", "run", f"{name}.yaml", *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / name


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> list[Record]:
    """The records of a run whose files were made by a run before it."""
    folder = tmp_path_factory.mktemp("teachers")
    made, store = run(folder, "made", MADE, shared_store), Store(shared_store)
    (size,) = [r for r in records.read(made / "records.jsonl") if isinstance(r, Size) and r.case == "teacher"]
    assert size.onnx_path is not None
    shutil.copy(made / size.onnx_path, folder / "teacher.onnx")
    trained = next(key for key in size.lineage if (store.folder(key) / "model.safetensors").exists())
    shutil.copy(store.folder(trained) / "model.safetensors", folder / "teacher.safetensors")
    return records.read(run(folder, "taught", TAUGHT, shared_store) / "records.jsonl")


def accuracy(taught: list[Record], case: str) -> Score:
    (found,) = [r for r in taught if isinstance(r, Score) and r.case == case and r.split == "test"]
    return found


def test_a_teacher_from_a_file_is_the_teacher_that_was_trained(taught: list[Record]) -> None:
    for row in ("teacher/weights", "teacher/file"):
        assert accuracy(taught, row).value == accuracy(taught, "teacher").value
    digests = {r.case: r.onnx_sha256 for r in taught if isinstance(r, Size)}
    assert digests["teacher/file"] == digests["teacher/weights"] == digests["teacher"]


def test_weights_of_a_trained_teacher_teach_the_same_student_to_the_bit(taught: list[Record]) -> None:
    digests = {r.case: r.onnx_sha256 for r in taught if isinstance(r, Size)}
    assert digests["weights"] == digests["trained"]


def test_an_onnx_file_teaches_as_its_network_does(taught: list[Record]) -> None:
    """Its outputs differ from torch's in the last digits, so the student is not the same to the bit."""
    terms = {r.case: r.terms_by_epoch for r in taught if isinstance(r, Training)}
    assert terms["file"] is not None
    assert terms["trained"] is not None
    for own, other in zip(terms["file"], terms["trained"], strict=True):
        assert own["soft"] == pytest.approx(other["soft"], rel=0.02)
    assert accuracy(taught, "file").teacher_agreement_fraction is not None


def test_each_row_agrees_with_its_own_teacher(taught: list[Record]) -> None:
    again = accuracy(taught, "case")
    assert again.teacher_agreement_fraction is not None
    assert again.teacher_agreement_fraction > 0.85


def test_a_teacher_that_was_fine_tuned_from_a_file_teaches(taught: list[Record]) -> None:
    """Transfer from a source that fits whole, then distillation: the fine-tuned network is another case's."""
    (notes,) = [r.notes for r in taught if isinstance(r, Compression) and r.case == "tuned"]
    assert not notes
    agreed = accuracy(taught, "by-tuned").teacher_agreement_fraction
    assert agreed is not None
    assert agreed > 0.85


def test_a_penalty_on_weights_is_a_term_that_falls(taught: list[Record]) -> None:
    (training,) = [r for r in taught if isinstance(r, Training) and r.case == "sparse"]
    first, last = training.terms_by_epoch[0], training.terms_by_epoch[-1]
    assert first.keys() == {"ce", "l1_penalty"}
    assert last["l1_penalty"] < 0.8 * first["l1_penalty"]


def test_several_teachers_teach_together(taught: list[Record]) -> None:
    several = [r for r in labelled(taught) if r.case == "several"]
    assert several
    assert not any(isinstance(r, Failed) for r in several)
