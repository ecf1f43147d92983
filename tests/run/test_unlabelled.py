"""Further images without labels: gathered once from a folder, scored by the teacher, seen beside the training split."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdbench.plan.rows import make_plan
from kdbench.stages._data import TaskData
from kdbench.stages._unlabelled import endless
from kdbench.stages.names import RECORDS
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages
from kdbench.suite.reader import load
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.image_folder import ImageFolder
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}

SUITE = """
kdbench: 1
name: more
task: {{{task}}}
seeds: [0]
recipes: {{train: {{epochs: 2, batch_size: 8, learning_rate: 0.05}}}}
teacher: {{model: {{cnn: {{channels: [8]}}}}}}
student: {{model: {{cnn: {{channels: [4]}}}}}}
cases:
  from-scratch: []
  more: [soft_distillation: {{unlabelled: {folder}}}]
measure: [{{provider: cpu, processes: 3, calls: 20, seconds: 0, memory: false, start: false}}]
"""
FOLDER = "image_folder: {root: data, image_size: 8, validation_fraction: 0}"


def write_images(folder: Path, count: int, bright: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(bright)
    for number in range(count):
        pixels = random.integers(bright, bright + 100, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """16 training images of two classes, 8 of the test split, and 12 more without a label, one of them torn."""
    for name, bright in (("dark", 0), ("light", 150)):
        write_images(tmp_path / "data" / "train" / name, 8, bright)
        write_images(tmp_path / "data" / "test" / name, 4, bright)
    write_images(tmp_path / "more" / "deeper", 12, 80)
    (tmp_path / "more" / "torn.png").write_bytes(b"\x89PNG torn")
    return tmp_path


def run(place: Path, task: str = FOLDER, folder: str = "more") -> subprocess.CompletedProcess[str]:
    (place / "s.yaml").write_text(SUITE.format(task=task, folder=folder))
    command = [sys.executable, "-m", "kdbench", "run", "s.yaml", "--store", "store", "-o", "out"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)


def test_each_step_has_as_many_further_images_which_the_teacher_answers_for_live(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "s.yaml").write_text(SUITE.format(task=FOLDER, folder="more"))
    plan = make_plan(load(place / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))
    store = Store(place / "store")
    (student,) = [label for label in plan.labels if label.case == "more" and plan.stages[label.key].kind == "compress"]
    for key in plan.lineage(student.key):
        (outcome,) = run_stages([plan.stages[key].to_json()], str(store.root))
        assert outcome.status == "done", outcome.reason
    (taught,) = [
        fact for fact in json.loads((store.folder(student.key) / RECORDS).read_text()) if fact["kind"] == "training"
    ]
    assert taught["teacher_forward_count"] == 2 * 16  # two epochs of 16 examples, each beside one further image


@pytest.mark.parametrize(
    ("task", "folder", "expected"),
    [
        (FOLDER, "nowhere", "s.yaml:11: cases.more.0: there is no folder 'nowhere'; name one with images in it."),
        (FOLDER, "store", "no image (.png, .jpg, .jpeg, .webp, .bmp) lies in 'store'; add some"),
        ("digits: {}", "more", "further images need a task of image files, and digits is none; leave them out."),
    ],
)
def test_a_folder_that_gives_no_image_is_said_before_any_work(
    place: Path, task: str, folder: str, expected: str
) -> None:
    (place / "store").mkdir()
    done = run(place, task, folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr


def test_a_killed_training_goes_on_with_the_images_that_were_next(place: Path) -> None:
    task = ImageFolder(root=str(place / "data"), image_size=8, augment="crop_flip", validation_fraction=0)
    (place / "decoded").mkdir()
    description = task.decode(place / "decoded")
    data = TaskData(task, description, ArrayData.open(place / "decoded", description))
    images = np.arange(5 * 3 * 64, dtype=np.uint8).reshape(5, 3, 8, 8)
    device = data.chosen(np.zeros(1, np.int64), np.zeros(1, np.int64), "cpu").index.device  # type: ignore[arg-type]

    whole = endless(images, data, 2, 0, device)
    all_of_them = [next(whole) for _ in range(7)]
    later = endless(images, data, 2, 0, device, start=5)

    for expected in all_of_them[5:]:
        assert next(later).inputs[0].equal(expected.inputs[0])
    assert all((batch.index < 0).all() and batch.targets == () for batch in all_of_them)
    assert all(len(set(batch.index.tolist())) == 2 for batch in all_of_them)
