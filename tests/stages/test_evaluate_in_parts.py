"""A split whose inputs are evaluated in parts gets the answers that it gets as a whole."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Input, Output, Preprocessing, SymbolicAxis, TaskDescription
from kdbench.ragged import Ragged, Stored, same, stored_array, typical_lengths
from kdbench.stages import _inputs, evaluate
from kdbench.stages.work import Work
from kdbench.tasks._labelled import Labelled, write_images
from kdbench.tasks.arrays import write_split

COUNT = 150


@pytest.fixture
def task(tmp_path: Path) -> TaskDescription:
    """150 test images of 2x2."""
    random = np.random.default_rng(0)
    images = Labelled(random.integers(0, 256, (COUNT, 1, 2, 2), dtype=np.uint8), np.arange(COUNT) % 2)
    preprocessing = Preprocessing(scale=1 / 255, mean=(0.5,), std=(0.25,))
    return write_images(tmp_path, {"train": images, "test": images}, ("even", "odd"), preprocessing)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that takes an image's sum and its batch's maximum: an answer tells which images stood beside its own."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    shape = numpy_helper.from_array(np.array([-1, 1]), "shape")
    nodes = [
        helper.make_node("ReduceSum", ["image", "axes"], ["summed"], keepdims=0),
        helper.make_node("Reshape", ["summed", "shape"], ["own"]),
        helper.make_node("ReduceMax", ["image"], ["highest"], keepdims=0),
        helper.make_node("Add", ["own", "highest"], ["both"]),
        helper.make_node("Concat", ["own", "both"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(nodes, "sums", [image], [logits], [axes, shape])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def _answers(task: TaskDescription, model: Path, scratch: Path) -> Stored:
    target = {"python": None, "session": asdict(SessionSpec())}
    spec = SimpleNamespace(settings={"target": target})
    work: Any = SimpleNamespace(input=lambda role: model.parent, spec=spec)
    scratch.mkdir()
    (answers,) = evaluate.predict(cast(Work, work), task, model, "test", scratch)
    return answers


def test_answers_in_parts_are_those_of_the_whole_split(
    task: TaskDescription, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _answers(task, model, tmp_path / "whole")
    monkeypatch.setattr(_inputs, "PIECE_BYTES", 70 * 4 * 4)
    parts = _inputs.shares(tmp_path, task, "test", evaluate.PREDICTION_BATCH)
    assert [len(part) for part in parts] == [64, 64, 22]  # 70 images fit: one batch of 64
    in_parts = _answers(task, model, tmp_path / "parts")
    assert np.shape(whole) == (COUNT, 2)
    assert same(in_parts, whole)
    assert not list((tmp_path / "parts").rglob("inputs.npz"))


@pytest.fixture
def tokens(tmp_path: Path) -> TaskDescription:
    """150 test examples of 1 to 9 numbers, with a class at each."""
    random = np.random.default_rng(0)
    lengths = random.integers(1, 10, COUNT)
    rows = [random.normal(size=length).astype(np.float32) for length in lengths]
    classes = [np.zeros(length, np.int32) for length in lengths]
    for split in ("train", "test"):
        write_split(tmp_path, split, (rows,), classes)
    return TaskDescription(
        inputs=(Input(name="x", axes=("t",)),),
        outputs=(Output(kind="token_classes", axes=("t", 2), class_names=("a", "b"), ignore=-1),),
        axes=(SymbolicAxis(name="t", lengths=typical_lengths(lengths)),),
        example_counts={"train": COUNT, "test": COUNT},
    )


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that answers each number with itself and the largest of its batch."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "t"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "t", 2])
    last = numpy_helper.from_array(np.array([2]), "last")
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["highest"], keepdims=1),
        helper.make_node("Max", ["x", "highest"], ["everywhere"]),
        helper.make_node("Unsqueeze", ["x", "last"], ["own"]),
        helper.make_node("Unsqueeze", ["everywhere", "last"], ["batchs"]),
        helper.make_node("Concat", ["own", "batchs"], ["logits"], axis=2),
    ]
    graph = helper.make_graph(nodes, "tokens", [given], [logits], [last])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_answers_of_unequal_length_in_parts_are_those_of_the_whole_split(
    tokens: TaskDescription, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _answers(tokens, marker, tmp_path / "whole")
    monkeypatch.setattr(_inputs, "PIECE_BYTES", 1000)
    assert [len(part) for part in _inputs.shares(tmp_path, tokens, "test", 64)] == [64, 64, 22]
    in_parts = _answers(tokens, marker, tmp_path / "parts")
    assert isinstance(whole, Ragged)
    assert same(whole, in_parts)
    given = stored_array(tmp_path / "test_inputs0.npy")
    assert all(np.array_equal(in_parts[place][:, 0], given[place]) for place in range(COUNT))


def test_a_batch_larger_than_a_part_is_a_part(
    task: TaskDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_inputs, "PIECE_BYTES", 1)
    assert [len(part) for part in _inputs.shares(tmp_path, task, "test", 100)] == [100, 50]
