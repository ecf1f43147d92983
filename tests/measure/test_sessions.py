"""The table of providers, and sessions of real tiny files."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tiny_models import FileOf, conv_net, gemm_net, infinite_net

from kdbench.errors import MeasureError, UnknownName
from kdbench.measure.providers import PROVIDERS
from kdbench.measure.runtimes.onnxruntime import Onnxruntime, OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec

IMAGES = {"x": np.random.default_rng(2).normal(size=(4, 3, 8, 8)).astype(np.float32)}


def test_the_table_of_providers_is_read_without_any_runtime() -> None:
    code = (
        "import sys, kdbench.measure.runtimes.onnxruntime\n"
        "print([m for m in ('numpy', 'onnxruntime') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_provider_names_are_those_onnxruntime_knows() -> None:
    import onnxruntime

    plugged_in = {"NvTensorRTRTXExecutionProvider"}  # only its own package knows that name
    assert set(PROVIDERS.values()) - plugged_in <= set(onnxruntime.get_all_providers())


def test_an_unknown_provider_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match=r"^there is no provider 'cud'\. Did you mean 'cuda'\?$"):
        SessionSpec(provider="cud")


def test_a_precision_the_provider_cannot_pin_is_refused() -> None:
    with pytest.raises(MeasureError, match=r"^provider cpu offers precision fp32, got 'fp16'\.$"):
        SessionSpec(precision="fp16")


def test_a_provider_that_falls_back_is_an_error(file_of: FileOf) -> None:
    if "CUDAExecutionProvider" in Onnxruntime().describe()["providers_available"]:
        pytest.skip("this onnxruntime has CUDA")
    sentence = r"^asked for CUDAExecutionProvider, onnxruntime chose CPUExecutionProvider\.$"
    with pytest.raises(MeasureError, match=sentence):
        OnnxruntimeSession(file_of("net", gemm_net())["path"], SessionSpec(provider="cuda"))


def test_bound_calls_compute_what_a_plain_run_computes(file_of: FileOf) -> None:
    session = OnnxruntimeSession(file_of("net", conv_net())["path"], SessionSpec())
    other = {"x": IMAGES["x"] + 1}
    bound = session.bind([IMAGES, other])
    assert bound.batch_count == 2
    for number, feed in enumerate([IMAGES, other]):
        bound.run(number)
        (memory,) = bound._bindings[number].get_outputs()
        np.testing.assert_array_equal(memory.numpy(), session.run(feed)[0])


def test_outputs_that_are_not_finite_are_an_error(file_of: FileOf) -> None:
    session = OnnxruntimeSession(file_of("infinite", infinite_net())["path"], SessionSpec())
    with pytest.raises(MeasureError, match=r"infinite\.onnx gives outputs that are not finite\.$"):
        session.run_checked(IMAGES)


@pytest.mark.parametrize(
    ("feed", "sentence"),
    [
        ({"image": IMAGES["x"]}, "wants an input 'x', the inputs given are named image"),
        ({"x": IMAGES["x"][:, :2]}, "does not run on these inputs"),
        ({"x": IMAGES["x"].astype(np.float64)}, "does not run on these inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_an_error(file_of: FileOf, feed: dict[str, Any], sentence: str) -> None:
    session = OnnxruntimeSession(file_of("net", conv_net())["path"], SessionSpec())
    with pytest.raises(MeasureError, match=sentence):
        session.run(feed)
