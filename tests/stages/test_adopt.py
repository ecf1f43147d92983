"""A user's own file as a teacher: taken over whole, or refused with a sentence that names it."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdbench import testing
from kdbench.errors import ModelError
from kdbench.protocols import Batch, TaskDescription
from kdbench.protocols.part import PartSpec
from kdbench.stages import torch_models
from kdbench.stages._teacher import Teacher, _OnnxNetwork
from kdbench.stages.adopt import adopt
from kdbench.stages.names import ONNX_FILE
from kdbench.stages.spec import StageSpec
from kdbench.stages.work import Work, read_description
from kdbench.timing.onnx_files import content_of


def adopted(path: Path, out: Path, model: PartSpec | None = None) -> Path:
    """The folder of a stage that took a file over."""
    bench = testing._bench()
    source = PartSpec("file", "file", 1, {"path": str(path)}, keyed_by={"sha256": "0"})
    parts = {"task": testing.TASK, "source": source, **({"model": model} if model else {})}
    out.mkdir()
    adopt(Work(StageSpec("adopt", 1, parts, {"data": bench.data}), bench.store, out, logging.getLogger("test")))
    return out


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """The bench's exported student, a copy."""
    bench = testing._bench()
    path = tmp_path / "mine.onnx"
    path.write_bytes((bench.store.folder(bench.exported(0)) / ONNX_FILE).read_bytes())
    return path


def weights_of_the_teacher(tmp_path: Path) -> Path:
    bench = testing._bench()
    path = tmp_path / "mine.safetensors"
    save_file(load_file(bench.store.folder(bench.teacher) / "model.safetensors"), path)
    return path


def test_an_onnx_file_is_kept_byte_for_byte_with_its_answers(exported: Path, tmp_path: Path) -> None:
    folder = adopted(exported, tmp_path / "out")
    bench = testing._bench()
    assert (folder / ONNX_FILE).read_bytes() == exported.read_bytes()
    mine = np.load(folder / "test_outputs0.npy")
    torchs = np.load(bench.store.folder(bench.exported(0)) / "test_outputs0.npy")
    assert np.allclose(mine, torchs, atol=1e-4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_give_the_network_that_they_were_taken_from(tmp_path: Path, suffix: str) -> None:
    path = weights_of_the_teacher(tmp_path)
    if suffix == ".pt":
        state = load_file(path)
        path = path.with_suffix(suffix)
        torch.save({"state_dict": state}, path)
    folder = adopted(path, tmp_path / "out", testing.TEACHER)
    bench = testing._bench()
    task = read_description(bench.store.folder(bench.data))
    mine, theirs = (
        torch_models.load(place, task, torch.device("cpu")).state_dict()
        for place in (folder, bench.store.folder(bench.teacher))
    )
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())


def test_what_is_no_onnx_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_text("junk")
    with pytest.raises(ModelError, match=r"onnxruntime cannot load .*mine\.onnx"):
        adopted(path, tmp_path / "out")


def test_an_onnx_files_only_input_is_called_as_the_task_calls_it(exported: Path, tmp_path: Path) -> None:
    theirs = adopted(exported, tmp_path / "theirs") / "test_outputs0.npy"
    model = onnx.load(exported)
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "image" else name for name in node.input]
    onnx.save(model, exported)
    folder = adopted(exported, tmp_path / "out")
    assert [value.name for value in onnx.load(folder / ONNX_FILE).graph.input] == ["image"]
    assert np.array_equal(np.load(folder / "test_outputs0.npy"), np.load(theirs))


def test_weights_of_another_shape_are_said(tmp_path: Path) -> None:
    path = weights_of_the_teacher(tmp_path)
    wide = dataclasses.replace(testing.TEACHER, fields={"channels": [24, 64]})
    with pytest.raises(ModelError, match=r"mine\.safetensors' does not fit cnn: 'layer1\.0\.weight' is"):
        adopted(path, tmp_path / "out", wide)


def with_softmax(path: Path) -> Path:
    """The same file with a softmax behind its logits."""
    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["raw" if name == output.name else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Softmax", ["raw"], [output.name], axis=1))
    onnx.save(model, path)
    return path


def test_a_teacher_that_ends_in_a_softmax_teaches_by_its_logarithms(exported: Path, tmp_path: Path) -> None:
    plain = adopted(exported, tmp_path / "plain")
    rounded = adopted(with_softmax(exported), tmp_path / "softmax")
    bench = testing._bench()
    task = read_description(bench.store.folder(bench.data))
    nowhere = torch.zeros(20, dtype=torch.int64)
    batch = Batch((torch.rand(20, *task.input_shapes[0]),), (), nowhere, nowhere)
    logits, taken = (teacher_of(folder, task) for folder in (plain, rounded))
    expected = torch.log_softmax(logits.live(batch)[0], 1)
    torch.testing.assert_close(torch.log_softmax(taken.live(batch)[0], 1), expected, atol=1e-4, rtol=1e-4)
    assert (logits.gives_probabilities, taken.gives_probabilities) == (False, True)


def teacher_of(folder: Path, task: TaskDescription) -> Teacher:
    return Teacher(lambda: _OnnxNetwork(folder / ONNX_FILE, task.input_names), task, None, 1)


def test_weights_beside_an_onnx_file_come_along_and_count_as_its_content(exported: Path, tmp_path: Path) -> None:
    whole = adopted(exported, tmp_path / "whole")
    place = tmp_path / "apart" / "m.onnx"
    place.parent.mkdir()
    onnx.save(onnx.load(exported), place, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    before = content_of(place)
    folder = adopted(place, tmp_path / "out")
    assert [path.name for path in folder.glob("*.onnx*")] == [ONNX_FILE]
    np.testing.assert_array_equal(np.load(folder / "test_outputs0.npy"), np.load(whole / "test_outputs0.npy"))
    data = place.with_name("m.onnx.data")
    data.write_bytes(data.read_bytes()[:-1] + b"\x01")
    assert content_of(place) != before
    data.unlink()
    with pytest.raises(ModelError, match=r"keeps its weights in 'm\.onnx\.data'"):
        content_of(place)
