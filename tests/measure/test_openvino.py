"""OpenVINO by its own API: what proves a row, what is refused, and, where it is installed, what it really does."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tiny_models import FileOf, conv_net

from kdbench import testing
from kdbench.errors import MeasureError
from kdbench.measure.runtimes import OWN
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.runtimes.openvino import Openvino, OpenvinoSession, reason_of, told_otherwise
from kdbench.measure.runtimes.openvino_layers import Layer, layers_of, proof_of
from kdbench.measure.session_spec import SessionSpec

NEEDS_OPENVINO = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
FLOAT = Layer("Convolution", "f32", "brgconv_avx512_f32")
HALF = Layer("FullyConnected", "bf16", "brgemm_avx512_bf16")
INTEGER = Layer("FullyConnected", "u8", "brgemm_avx512_I8")
POOL = Layer("Pooling", "f32", "jit_avx512_f32")
CPU: dict[str, Any] = {"provider": "openvino", "runtime": OWN["openvino"]}
ERROR = """Exception from src/inference/src/cpp/core.cpp:84:
Check 'util::file_exists(path)' failed at src/frontends/common/src/frontend.cpp:117:
FrontEnd API failed with GeneralFailure:
onnx: Could not open the file: "none.onnx"

"""


def session(path: str, **asked: Any) -> OpenvinoSession:
    return OpenvinoSession(path, SessionSpec(**{**CPU, **asked}))


def openvino_capabilities() -> list[str]:
    import openvino

    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def test_float32_is_always_said_and_so_are_threads_and_streams() -> None:
    told = SessionSpec(**CPU, threads_intra=2).provider_options()
    assert told["INFERENCE_PRECISION_HINT"] == "f32"
    assert (told["INFERENCE_NUM_THREADS"], told["NUM_STREAMS"], told["ENABLE_CPU_PINNING"]) == ("2", "1", "NO")
    assert SessionSpec(**CPU, precision="bf16").provider_options()["INFERENCE_PRECISION_HINT"] == "bf16"


def test_a_model_that_was_compiled_otherwise_than_it_was_told_is_refused() -> None:
    told = SessionSpec(**CPU).provider_options()
    kept = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}
    pinned = {**kept, "ENABLE_CPU_PINNING": "False"}
    assert told_otherwise(told, pinned) is None
    said = told_otherwise(told, {**pinned, "INFERENCE_PRECISION_HINT": "bf16"})
    assert said == "asked OpenVINO for INFERENCE_PRECISION_HINT f32, it compiled the file with bf16."
    said = told_otherwise(told, {**pinned, "INFERENCE_NUM_THREADS": "64"})
    assert said == "asked OpenVINO for INFERENCE_NUM_THREADS 1, it compiled the file with 64."


def test_the_line_of_an_error_that_says_what_is_the_matter_is_told() -> None:
    assert reason_of(RuntimeError(ERROR)) == 'onnx: Could not open the file: "none.onnx"'
    assert reason_of(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("layers", "precision", "share"),
    [
        ([FLOAT, POOL], "fp32", 0.0),
        ([HALF, POOL], "bf16", 0.0),
        ([INTEGER, INTEGER, POOL], "int8", 1.0),
        ([FLOAT, INTEGER, FLOAT, FLOAT], "int8+fp32", 0.25),
        ([POOL], "fp32", None),
        ([FLOAT, Layer("MatMul", "dynamic", "undef")], None, 0.0),
    ],
)
def test_layers_that_multiply_prove_the_precision(
    layers: list[Layer], precision: str | None, share: float | None
) -> None:
    proof = proof_of(layers, "CPU", 1500, stored_in_8_bits=0)
    assert (proof["effective_precision"], proof["int8_kernel_fraction"]) == (precision, share)
    assert proof["node_count_by_provider"] == {"CPU": len(layers)}
    assert proof["kernel_ns_by_provider"] == {"CPU": 1500}
    assert proof["execution_note"] is None


def test_integers_that_ran_as_float_kernels_are_told() -> None:
    assert "multiplied floats" in proof_of([FLOAT, FLOAT], "CPU", 1, stored_in_8_bits=2)["execution_note"]
    assert proof_of([FLOAT, INTEGER], "CPU", 1, stored_in_8_bits=2)["execution_note"] is None


def test_what_holds_tensors_is_no_layer_that_ran() -> None:
    names = ("Input", "Convolution", "Const", "Output")
    infos = [{"layerType": name, "runtimePrecision": "f32", "primitiveType": "x_f32"} for name in names]
    assert [layer.type for layer in layers_of(infos)] == ["Convolution"]


def test_where_it_is_missing_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import kdbench.measure.runtimes.openvino as module

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(module.sys.modules, "openvino", raising=False)
    module._core.cache_clear()
    with pytest.raises(MeasureError, match=r"has no openvino; run `\S+ -m pip install openvino`"):
        Openvino().describe()


@NEEDS_OPENVINO
def test_it_computes_in_float32_where_bf16_is_its_default_and_in_bf16_only_when_asked(file_of: FileOf) -> None:
    path = file_of("net", conv_net(64))["path"]
    feed = {"x": np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    expected = OnnxruntimeSession(path, SessionSpec()).run(feed)[0]
    exact = session(path)
    np.testing.assert_allclose(exact.run(feed)[0], expected, rtol=1e-4, atol=1e-5)
    proof = exact.proof(feed)
    assert (proof["effective_precision"], proof["int8_kernel_fraction"]) == ("fp32", 0.0)
    if "BF16" not in openvino_capabilities():
        with pytest.raises(MeasureError, match="compiled the file with f32"):
            session(path, precision="bf16")
        return
    half = session(path, precision="bf16")
    np.testing.assert_allclose(half.run(feed)[0], expected, rtol=0.1, atol=0.1)
    assert "bf16" in half.proof(feed)["effective_precision"]


@NEEDS_OPENVINO
def test_bound_calls_read_each_batch_and_answer_as_run_does(file_of: FileOf) -> None:
    opened = session(file_of("net", conv_net())["path"])
    feeds = [{"x": np.full((2, 3, 8, 8), value, np.float32)} for value in (0.1, 0.9)]
    bound = opened.bind(feeds)
    for number in (1, 0, 1):
        bound.run(number)
    for number, feed in enumerate(feeds):
        np.testing.assert_array_equal(bound.outputs(number)[0], opened.run(feed)[0])
    assert np.abs(bound.outputs(0)[0] - bound.outputs(1)[0]).max() > 0.1


@NEEDS_OPENVINO
def test_built_engines_are_kept_where_a_folder_is_named(file_of: FileOf, tmp_path: Path) -> None:
    path, folder = file_of("net", conv_net())["path"], tmp_path / "engines"
    feed = {"x": np.ones((1, 3, 8, 8), np.float32)}
    first = session(path, engine_cache=str(folder)).run(feed)[0]
    assert list(folder.glob("*.blob"))
    np.testing.assert_array_equal(session(path, engine_cache=str(folder)).run(feed)[0], first)


@NEEDS_OPENVINO
def test_a_wrong_shape_and_a_missing_input_are_sentences(file_of: FileOf) -> None:
    opened = session(file_of("net", conv_net())["path"])
    with pytest.raises(MeasureError, match="does not run on these inputs"):
        opened.run({"x": np.ones((1, 5, 8, 8), np.float32)})
    with pytest.raises(MeasureError, match="wants an input 'x'"):
        opened.run({"y": np.ones((1, 3, 8, 8), np.float32)})


@NEEDS_OPENVINO
def test_a_dynamically_quantized_product_is_told_to_have_run_in_float(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx.save(conv_net(64), tmp_path / "net.onnx")
    only = ["MatMul", "Gemm"]
    quantize_dynamic(tmp_path / "net.onnx", tmp_path / "int8.onnx", only, weight_type=QuantType.QInt8)
    proof = session(str(tmp_path / "int8.onnx")).proof({"x": np.ones((1, 3, 8, 8), np.float32)})
    assert (proof["int8_kernel_fraction"], proof["effective_precision"]) == (0.0, "fp32")
    assert "multiplied floats" in proof["execution_note"]


@NEEDS_OPENVINO
@pytest.mark.slow
def test_it_keeps_the_contract_of_runtimes() -> None:
    testing.check_runtime("openvino")
