"""What `kdbench get` hands over, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from handed import OTHER, TARGET, Source

from kdbench import registry
from kdbench.cli import cli
from kdbench.errors import KdbenchError, StoreError, UnknownName
from kdbench.files import sha256_of
from kdbench.handover.get import get, handed_text
from kdbench.handover.manifest import _run
from kdbench.protocols.part import spec_of
from kdbench.results.folder import read_results
from kdbench.results.trust import Confirmed

Maker = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Maker:
    def write(**fields: Any) -> Path:
        return Source(tmp_path / "source", **fields).write()

    return write


def test_the_folder_holds_model_manifest_program_and_inputs(digits: Source, tmp_path: Path) -> None:
    handed = get(digits.results, "linear", tmp_path / "out", seed=1)
    assert sorted(path.name for path in handed.folder.iterdir()) == [
        "README.md",
        "inputs.npz",
        "manifest.json",
        "model.onnx",
        "predict.py",
        "predicting",
    ]
    names = {path.stem for path in (handed.folder / "predicting").iterdir()}
    assert names == {"__init__", "answers", "arrays", "command", "example", "model", "scores"}
    said = json.loads((handed.folder / "manifest.json").read_text())
    assert said["model"]["sha256"] == sha256_of(handed.folder / "model.onnx")
    assert said["test_inputs"]["sha256"] == sha256_of(handed.folder / "inputs.npz")
    (image,) = said["inputs"]
    assert (image["name"], image["shape"], image["type"]) == ("image", ["batch", 1, 8, 8], "float32")
    assert (image["role"], image["axes"], image["preprocessing"]["mean"]) == ("values", [1, 8, 8], [0.30603])
    assert [(one["kind"], len(one["class_names"])) for one in said["outputs"]] == [("classes", 10)]
    assert said["preprocessing"]["mean"] == [0.30603]
    assert said["class_names"] == list("0123456789")
    assert "image" not in said
    assert "CC BY 4.0" in said["data"]["origin"]


SPEECH = """
import numpy as np
from kdbench.protocols import Task, TaskDescription
from kdbench.tasks.arrays import write_split


class Words(Task):
    def decode(self, out):
        for split in ("train", "validation", "test"):
            targets = np.arange(60) % 2
            write_split(out, split, (targets[:, None].astype(np.float32).repeat(4, 1),), targets)
        (out / "words.txt").write_text("yes\\nno\\n")
        counts = {"train": 60, "validation": 60, "test": 60}
        return TaskDescription.classification(
            input_names=("wave",), input_shapes=((4,),), class_names=("yes", "no"), example_counts=counts,
            companions=(NAME,), settings={"sample_rate": 16000, "window": [400, 160]},
        )
"""


def _speech(tmp_path: Path, name: str) -> Source:
    (tmp_path / "speech.py").write_text(SPEECH.replace("NAME", repr(name)))
    cls = registry.resolve("task", "speech.py:Words", tmp_path)
    return Source(tmp_path / "source", spec_of("task", "speech.py:Words", cls(), tmp_path), seeds=(0,))


def test_what_the_task_declares_goes_along_with_the_model(tmp_path: Path) -> None:
    handed = get(_speech(tmp_path, "words.txt").write(), "linear", tmp_path / "out")
    words = handed.folder / "task" / "words.txt"
    assert words.read_text() == "yes\nno\n"
    said = json.loads((handed.folder / "manifest.json").read_text())["data"]
    assert said["companions"] == {"task/words.txt": sha256_of(words)}
    assert said["settings"] == {"sample_rate": 16000, "window": [400, 160]}


@pytest.mark.parametrize("name", ["labels.txt", "../words.txt", "/etc/hostname"])
def test_a_companion_that_decode_did_not_write_is_told_before_any_training(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError, match="names the companion"):
        _speech(tmp_path, name).write()


def test_a_disk_that_fills_up_leaves_no_half_folder(
    digits: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kdbench.handover.get.shutil.copyfile", full)
    with pytest.raises(StoreError, match="No space left on device"):
        get(digits.results, "linear", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_says_what_was_measured_on_what_and_when(digits: Source, tmp_path: Path) -> None:
    said = get(digits.results, "linear", tmp_path / "out").manifest
    (entry,) = said["measured"]
    assert (entry["target"], entry["device"]["cpu"]) == (TARGET, "Imaginary Processor 9000")
    assert entry["date_utc"] == "2026-01-02T03:04:05+00:00"
    assert entry["accuracy"]["test"]["example_count"] == 357
    (row,) = entry["latency"]
    assert (row["batch_size"], row["process_count"], row["sample_count"]) == (1, 3, 300)
    assert row["p50_ns"] == pytest.approx(51_000, rel=1e-3)


def test_an_image_folder_hands_over_how_an_image_is_read_and_no_images(
    folder_of_images: Source, tmp_path: Path
) -> None:
    handed = get(folder_of_images.results, "linear", tmp_path / "out")
    assert not (handed.folder / "inputs.npz").exists()
    image = handed.manifest["image"]
    channels = folder_of_images.description.input_shapes[0][0]
    assert (image["size"], image["channels"], image["resize"]) == (12, channels, "bilinear")
    assert handed.manifest["data"]["origin"] == "Drawn for this test."
    assert "broken.png" in handed.manifest["data"]["notes"][0]


def test_without_a_seed_it_is_the_best_on_validation_and_says_so(made: Maker, tmp_path: Path) -> None:
    handed = get(made(validation={0: 0.80, 1: 0.90, 2: 0.85}), "linear", tmp_path / "out")
    assert handed.manifest["seed"] == 1
    assert "Seed 1, the best of seeds 0, 1, 2 on validation (90.0 %)." in handed_text(handed)


def test_of_seeds_that_are_level_it_is_the_lowest(made: Maker, tmp_path: Path) -> None:
    handed = get(made(validation={0: 0.80, 1: 0.90, 2: 0.90}), "linear", tmp_path / "out")
    assert handed.manifest["chosen"] == "Seed 1, the best of seeds 0, 1, 2 on validation (90.0 %), level with seed 2."


def test_without_a_validation_split_it_says_that_the_choice_was_made_on_test(made: Maker, tmp_path: Path) -> None:
    handed = get(made(splits=("test",)), "linear", tmp_path / "out")
    assert "no validation split: the choice was made on test" in handed.manifest["chosen"]


def test_a_seed_that_is_asked_for_is_taken(made: Maker, tmp_path: Path) -> None:
    handed = get(made(validation={0: 0.80, 1: 0.90, 2: 0.85}), "linear", tmp_path / "out", seed=2)
    assert handed.manifest["seed"] == 2


def test_a_file_that_targets_share_is_for_all_of_them(made: Maker, tmp_path: Path) -> None:
    handed = get(made(targets=(TARGET, OTHER)), "linear", tmp_path / "out")
    assert [entry["target"] for entry in handed.manifest["measured"]] == [TARGET, OTHER]


def test_targets_with_files_of_their_own_are_asked_for(made: Maker, tmp_path: Path) -> None:
    results = made(targets=(TARGET, OTHER), file_a_target=True)
    with pytest.raises(StoreError, match=f"for which: --target {TARGET}, --target {OTHER}"):
        get(results, "linear", tmp_path / "out")
    handed = get(results, "linear", tmp_path / "out", target=OTHER)
    assert [entry["target"] for entry in handed.manifest["measured"]] == [OTHER]


def test_unknown_names_are_answered_with_the_nearest(digits: Source, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no case 'liner'\. Did you mean 'linear'"):
        get(digits.results, "liner", tmp_path / "out")
    with pytest.raises(UnknownName, match=r"no target 'local-cpu-1t'\. Did you mean 'local-cpu-1t-fp32'"):
        get(digits.results, "linear", tmp_path / "out", target="local-cpu-1t")
    with pytest.raises(StoreError, match="seed 7 has no file; it has one for seeds 0, 1, 2"):
        get(digits.results, "linear", tmp_path / "out", seed=7)
    assert not (tmp_path / "out").exists()


def test_a_case_that_failed_is_refused_with_its_reason(made: Maker, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"int8 has no file; failed: the loss is not finite\."):
        get(made(failed={"int8": "the loss is not finite."}), "int8", tmp_path / "out")


def test_a_folder_that_is_not_empty_is_left_alone(digits: Source, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not empty; name another folder with -o"):
        get(digits.results, "linear", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda results: (results / "models/0-all.onnx").unlink(), "0-all.onnx' is not there; run the suite again"),
        (lambda results: (results / "models/0-all.onnx").write_bytes(b"x"), "is not the file that was measured"),
        (lambda results: (results / "task.json").unlink(), "task.json' .*; run the suite again"),
        (lambda results: (results / "task.json").write_text('{"name": 1}'), "is no task of this version"),
        (lambda results: next((results / "inputs").iterdir()).unlink(), "npz' is not there; run the suite again"),
    ],
    ids=["no model", "another model", "no task", "another task", "no inputs"],
)
def test_what_is_missing_or_changed_is_named(
    made: Maker, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    results = made(seeds=(0,))
    spoil(results)
    with pytest.raises(KdbenchError, match=said):
        get(results, "linear", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_verb_says_what_was_handed_over_and_how_to_try_it(digits: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["get", str(digits.results), "linear", "--seed", "0", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "Seed 0, as asked for." in done.output
    assert "% right on test" in done.output
    assert done.output.endswith(f"Try it: python {out / 'predict.py'}\n")


def test_a_target_with_another_runtime_is_handed_over_to_run_in_onnxruntime_and_says_so(tmp_path: Path) -> None:
    folder = Source(tmp_path).write()
    session = {"provider": "openvino", "runtime": "openvino", "threads_intra": 2, "precision": "fp32"}
    confirmed = Confirmed({TARGET: {"session": session, "python": None}})
    run = _run(read_results(folder), TARGET, confirmed)
    assert (run["provider"], run["threads_intra"], run["measured_in"]) == ("CPUExecutionProvider", 2, "openvino")
