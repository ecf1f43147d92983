"""The program that goes with a model: the recorded accuracy, from the folder alone, and the decode stage's pixels."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from handed import Source
from PIL import Image, ImageOps

from kdbench.handover.get import get
from kdbench.handover.predicting import folders, images, model
from kdbench.handover.program import READERS, sources
from kdbench.protocols import ImageForm, Input, Preprocessing
from kdbench.tasks.arrays import ArrayData, preprocess_array

ABSENT = ("kdbench", "torch", "torchvision", "onnx", "sklearn", "scipy", "pandas", "pydantic")
PROGRAM = """
import runpy, sys
absent, sys.argv = sys.argv[1].split(","), sys.argv[2:]
sys.modules.update(dict.fromkeys(absent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(out: Path, *arguments: str, absent: tuple[str, ...] = ABSENT, code: int = 0) -> str:
    """What predict.py prints in a process of its own in which `absent` cannot be imported."""
    command = [sys.executable, "-I", "-c", PROGRAM, ",".join(absent), str(out / "predict.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def recorded(out: Path) -> tuple[int, int]:
    test = json.loads((out / "manifest.json").read_text())["measured"][0]["accuracy"]["test"]
    return test["correct_count"], test["example_count"]


def test_stored_inputs_give_the_recorded_accuracy_with_numpy_and_onnxruntime_alone(
    digits: Source, tmp_path: Path
) -> None:
    out = get(digits.results, "linear", tmp_path / "out").folder
    right, count = recorded(out)
    assert 0.5 * count < right < count == 357
    first, second = run(out, absent=(*ABSENT, "PIL")).splitlines()
    assert first == f"accuracy {right / count:.4f} ({right} of {count})"
    assert second == f"recorded {right / count:.4f} ({right} of {count}) on local-cpu-1t-fp32"


def test_the_users_images_give_the_recorded_accuracy(folder_of_images: Source, pictures: Path, tmp_path: Path) -> None:
    out = get(folder_of_images.results, "linear", tmp_path / "out").folder
    right, count = recorded(out)
    assert 0.6 * count < right < count == 90
    assert run(out, str(pictures / "test")).splitlines()[0] == f"accuracy {right / count:.4f} ({right} of {count})"


def test_an_image_is_decoded_to_the_very_pixels_of_the_decode_stage(folder_of_images: Source, pictures: Path) -> None:
    form = folder_of_images.task.build().image_form().model_dump(mode="json")
    data = ArrayData.open(folder_of_images.decoded, folder_of_images.description)
    classes = {"outputs": [{"kind": "classes", "class_names": ["left", "right"]}]}
    every = folders.find_files(pictures / "test", classes, images.SUFFIXES)
    found = [image for image in every if image[0].stem != "broken"]
    assert [targets for _, targets in found] == [(label,) for label in data.targets("test").tolist()]
    for place, (file, _) in enumerate(found):
        np.testing.assert_array_equal(images.read_image(file, form), data.inputs("test")[0][place])


@pytest.mark.parametrize("shape", [(5, 3, 4, 4), (5, 1, 8, 8), (5, 2)])
def test_preprocessing_is_the_training_sides_bit_for_bit(shape: tuple[int, ...]) -> None:
    channels = shape[1]
    rule = Preprocessing(scale=1 / 255, mean=(0.4914, 0.1, 0.3)[:channels], std=(0.247, 0.3, 0.7)[:channels])
    stored = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    theirs = preprocess_array(stored, Input(name="image", axes=shape[1:], preprocessing=rule))
    np.testing.assert_array_equal(model.preprocess(stored, rule.model_dump()), theirs)


def test_an_image_without_a_class_is_given_one(folder_of_images: Source, pictures: Path, tmp_path: Path) -> None:
    out = get(folder_of_images.results, "linear", tmp_path / "out").folder
    image = pictures / "test" / "left" / "0.png"
    ((name, answer, chance),) = [line.split("\t") for line in run(out, str(image)).splitlines()]
    assert name == str(image)
    assert answer in ("left", "right")
    assert 0.5 <= float(chance) <= 1


def test_a_folder_without_images_is_said_to_have_none(folder_of_images: Source, pictures: Path, tmp_path: Path) -> None:
    out = get(folder_of_images.results, "linear", tmp_path / "out").folder
    assert "nor in a folder of a class there (left, right)" in run(out, str(pictures), code=2)
    assert "name what to read: images, or folders of images" in run(out, code=2)


def test_the_program_knows_no_kdbench_and_is_python_3_9() -> None:
    for form in (None, *READERS):
        for text in sources(form).values():
            assert b"kdbench" not in text
            tree = ast.parse(text, feature_version=(3, 9))
            assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def test_a_pipe_and_a_picture_that_starts_a_program_are_left_out(
    folder_of_images: Source, pictures: Path, tmp_path: Path
) -> None:
    out = get(folder_of_images.results, "linear", tmp_path / "out").folder
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "postscript.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    image = pictures / "test" / "left" / "0.png"
    said = run(out, str(tmp_path / "pipe.png"), str(tmp_path / "postscript.png"), str(image))
    assert [line.split("\t")[0] for line in said.splitlines()] == [str(image)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_training_turns_it_whatever_else_its_metadata_holds(
    orientation: int, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    form = ImageForm(size=8, channels=3)
    with Image.open(tmp_path / "turned.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored)).transpose(2, 0, 1)
    np.testing.assert_array_equal(images.read_image(tmp_path / "turned.png", form.model_dump(mode="json")), expected)
