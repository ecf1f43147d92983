"""LiteRT itself, where it is installed: conversion, the traps of fixed shapes, quantization by its own road."""

import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kdbench import testing
from kdbench.errors import MeasureError
from kdbench.measure.conversion import Wishes
from kdbench.measure.form import Form, Varying
from kdbench.measure.inputs import Inputs
from kdbench.measure.runtimes.litert import Litert
from kdbench.measure.runtimes.litert_converter import write_archive
from kdbench.measure.runtimes.torch import Torch
from kdbench.measure.session_spec import SessionSpec

CONVERTS = importlib.util.find_spec("litert_torch") is not None
RUNS = importlib.util.find_spec("ai_edge_litert") is not None
SPEC = SessionSpec("litert")


def examples(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 2, 8, 8)).astype(np.float32)


def test_an_archive_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(MeasureError, match=rf"^LiteRT cannot load {path}: it is no archive of its files"):
        Litert().load(str(path), SPEC)


def test_examples_that_vary_in_length_are_refused_before_anything_is_converted(tmp_path: Path) -> None:
    varying = Form(stored=("ids",), varying={"ids": Varying("length")})
    inputs = Inputs({"ids": np.zeros((4, 3), np.int64)}, varying)
    with pytest.raises(MeasureError, match=r"^LiteRT's files have fixed shapes, and the task's examples vary"):
        Litert().convert("nowhere.pt2", tmp_path / "out", Wishes(inputs))


def test_the_archive_says_which_file_is_for_which_batch(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {1: b"one", 8: b"eight"}, ["x"])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert json.loads(archive.read("names.json"))["files"] == {"1": "batch-1.tflite", "8": "batch-8.tflite"}
        assert archive.read("batch-8.tflite") == b"eight"


@pytest.mark.skipif(RUNS, reason="it is installed here")
def test_an_interpreter_without_it_says_how_to_install_it() -> None:
    with pytest.raises(MeasureError, match=r"has no ai-edge-litert; run `.* -m pip install ai-edge-litert`"):
        Litert().describe()
    if not CONVERTS:
        with pytest.raises(MeasureError, match=r"has no litert-torch, .*-m pip install .*or name one .* 'converter'"):
            Litert().converter_versions()


@pytest.mark.skipif(not (RUNS and CONVERTS), reason="ai-edge-litert and litert-torch are not installed")
@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`")  # the quantizer's own
class TestWhereItIsInstalled:
    def test_it_keeps_the_contract(self) -> None:
        testing.check_runtime("litert")

    @pytest.mark.parametrize(
        ("technique", "precision", "furthest"),
        [
            ({}, "fp32", 1e-5),
            ({"activations": "dynamic", "samples": 32}, "int8", 0.05),
            ({"activations": "static", "samples": 32}, "int8", 0.2),
        ],
    )
    def test_an_example_has_one_answer_in_batches_of_every_size(
        self, tmp_path: Path, technique: dict[str, object], precision: str, furthest: float
    ) -> None:
        source, out, x = tmp_path / "tiny.pt2", tmp_path / "model.tflite.zip", examples(11)
        Torch().write_tiny(source)
        made = Litert().convert(str(source), out, Wishes(Inputs({"x": x}), (4,), {}, technique))
        assert made.quantized_weight_fraction == (0.0 if precision == "fp32" else 1.0)
        session = Litert().load(str(out), SPEC)
        (together,) = session.run({"x": x})  # 4 + 4 + 1 + 1 + 1
        alone = np.concatenate([session.run({"x": x[row : row + 1]})[0] for row in range(11)])
        np.testing.assert_allclose(together, alone, atol=1e-5)
        (expected,) = Torch().load(str(source), SessionSpec("torch")).run({"x": x})
        assert np.abs(together - expected).max() <= furthest * np.abs(expected).max()
        proof = session.proof({"x": x[:4]})
        assert proof["effective_precision"] == precision
        assert proof["node_count_by_provider"]["XNNPACK"] > 0

    def test_calls_set_their_inputs_and_keep_their_answers(self, tmp_path: Path) -> None:
        path, x = tmp_path / "tiny.zip", examples(2)
        Litert().write_tiny(path)
        session = Litert().load(str(path), SPEC)
        bound = session.bind([{"x": x[:1]}, {"x": x[1:]}])
        for number in (0, 1, 0):
            bound.run(number)
        for number in (0, 1):
            np.testing.assert_array_equal(bound.outputs(number)[0], session.run({"x": x[number : number + 1]})[0])

    def test_a_batch_that_it_was_not_converted_for_is_never_timed(self, tmp_path: Path) -> None:
        path = tmp_path / "tiny.zip"
        Litert().write_tiny(path)
        with pytest.raises(MeasureError, match=r"was converted for batches of 1, and is asked for 3\.$"):
            Litert().load(str(path), SPEC).bind([{"x": examples(3)}])
