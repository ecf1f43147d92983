"""What a results folder keeps of its task, so that a model can be used without the store."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.protocols.part import PartSpec
from kdbench.results.task_json import read_task
from kdbench.run.collect import Results
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
MACHINE = Machine("cpu", "x86_64", {None: RUNTIME})
SUITE = """
kdbench: 1
name: s
task: TASK
seeds: [0]
recipes: {train: {epochs: 1, learning_rate: 0.05}}
student: {model: {cnn: {channels: [8, 8]}}, recipe: train}
cases: {from-scratch: []}
measure: [{provider: cpu}]
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(10):
                Image.new("RGB", (8, 8), colour).save(folder / f"{number}.png")
    return tmp_path / "data"


def planned(folder: Path, task: str) -> Plan:
    path = folder / "s.yaml"
    path.write_text(SUITE.replace("TASK", task))
    return make_plan(load(path), MACHINE)


def begun(folder: Path, plan: Plan) -> Path:
    """A results folder of which only decoding is finished; the decoded arrays' folder."""
    store = Store(folder / "store")
    spec = next(spec for spec in plan.stages.values() if spec.kind == "decode")
    (outcome,) = run_stages([spec.to_json()], str(store.root))
    assert outcome.status != "failed", outcome.reason
    Results(folder / "results", plan, store).begin("")
    return store.folder(spec.key)


def test_data_that_is_no_folder_is_kept_as_stored(tmp_path: Path) -> None:
    decoded = begun(tmp_path, planned(tmp_path, "digits"))
    task = read_task(tmp_path / "results")
    assert task.description.class_names == tuple("0123456789")
    assert task.test_inputs_path is not None
    with np.load(tmp_path / "results" / task.test_inputs_path) as kept:
        np.testing.assert_array_equal(kept["image"], np.load(decoded / "test_inputs0.npy"))
        assert kept["image"].dtype == np.uint8
        np.testing.assert_array_equal(kept["targets"], np.load(decoded / "test_targets0.npy"))


def test_images_of_a_folder_are_not_copied_and_their_form_is_kept(pictures: Path, tmp_path: Path) -> None:
    begun(tmp_path, planned(tmp_path, f"{{image_folder: {{root: {pictures}, image_size: 16, grayscale: true}}}}"))
    task = read_task(tmp_path / "results")
    assert task.test_inputs_path is None
    assert [path.name for path in (tmp_path / "results" / "inputs").iterdir()] == [Path(task.sample_path or "").name]
    assert task.image_form is not None
    assert (task.image_form.size, task.image_form.channels) == (16, 1)


def test_a_new_run_into_the_folder_says_its_own_task(pictures: Path, tmp_path: Path) -> None:
    begun(tmp_path, planned(tmp_path, "digits"))
    begun(tmp_path, planned(tmp_path, f"{{image_folder: {{root: {pictures}, image_size: 8}}}}"))
    assert read_task(tmp_path / "results").name == "image_folder"


def test_saying_where_images_come_from_changes_no_key(pictures: Path) -> None:
    fields = {"root": str(pictures), "image_size": 8}
    silent = PartSpec("task", "image_folder", 1, fields).located()
    said = PartSpec("task", "image_folder", 1, {**fields, "origin": "Mine, CC0."}).located()
    assert silent.identity() == said.identity()
    assert said.build().data_origin() == "Mine, CC0."


def test_a_sample_of_the_test_split_is_kept_as_models_take_it(tmp_path: Path) -> None:
    decoded = begun(tmp_path, planned(tmp_path, "digits"))
    kept = read_task(tmp_path / "results")
    stored, targets = np.load(decoded / "test_inputs0.npy"), np.load(decoded / "test_targets0.npy")
    assert kept.sample_path is not None
    sample = np.load(tmp_path / "results" / kept.sample_path)
    assert sample["index"].tolist() == list(range(len(targets)))  # 360 small pictures: all of them fit
    np.testing.assert_array_equal(sample["targets"], targets)
    (name,) = kept.description.input_names
    rule = kept.description.inputs[0].preprocessing
    np.testing.assert_allclose(sample[name][:, 0], (stored[:, 0] * rule.scale - rule.mean[0]) / rule.std[0], rtol=1e-5)


def test_the_sample_of_large_pictures_is_spread_over_the_split(pictures: Path, tmp_path: Path) -> None:
    task = f"{{image_folder: {{root: '{pictures}', image_size: 512, validation_fraction: 0}}}}"
    begun(tmp_path, planned(tmp_path, task))
    kept = read_task(tmp_path / "results")
    assert kept.sample_path is not None
    sample = np.load(tmp_path / "results" / kept.sample_path)
    assert sample["index"].tolist() == [0, 2, 5, 7, 10, 12, 15, 17]  # 8 of 20, though 16 MiB hold only 5
    assert sample["targets"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
