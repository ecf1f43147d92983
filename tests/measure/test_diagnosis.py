"""The actions `diagnose` and `try` of the packed program: what is there, what ran, and the runtime's own words."""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from kdbench.errors import MeasureError
from kdbench.measure import actions, diagnosis
from kdbench.measure.client import run_job
from kdbench.measure.jobs import make_job
from kdbench.measure.runtimes import onnxruntime_import
from kdbench.measure.runtimes.native_log import cause, overheard
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.runtimes.tiny_model import TINY_ONNX
from kdbench.measure.session_spec import SessionSpec

CUDA_LOG = (
    "2026-11-21 18:59:43.146 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] core/bridge.cc:2043 "
    "onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
    "libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file",
    "2026-11-21 18:59:43.147 [W:onnxruntime:Default, state.cc:1295 Create] Failed to create CUDAExecutionProvider.",
)


def test_the_tiny_model_is_valid_onnx_of_fixed_shapes_for_old_runtimes_too() -> None:
    model = onnx.load_from_string(TINY_ONNX)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    assert (model.ir_version, [opset.version for opset in model.opset_import]) == (7, [13])
    answer = ReferenceEvaluator(model).run(None, {"x": np.ones(diagnosis.TINY_SHAPE, np.float32)})
    assert np.shape(answer) == (1, 1, 3)


def test_diagnose_needs_no_package_to_say_that_there_is_none(tmp_path: Path, program: Path) -> None:
    python = tmp_path / "isolated"
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -I -S "$@"\n')  # in place of -E: no site-packages
    python.chmod(0o755)
    found = run_job({"schema": 1, "action": "diagnose"}, tmp_path / "out", program, str(python))
    assert found["numpy"] == {"missing": True, "error": "no numpy is installed"}
    assert found["onnxruntime"] == {"missing": True, "error": "no onnxruntime is installed"}
    assert found["distributions"] == []


def test_try_says_which_provider_ran_how_many_kernels(tmp_path: Path, program: Path) -> None:
    found = run_job({"schema": 1, "action": "try", "provider": "cpu"}, tmp_path / "out", program)
    assert found["works"]
    assert found["node_count_by_provider"] == {"CPUExecutionProvider": 5}
    assert found["modules"] == []


def test_a_provider_that_is_not_there_does_not_work_and_says_why(tmp_path: Path, program: Path) -> None:
    found = run_job({"schema": 1, "action": "try", "provider": "directml"}, tmp_path / "out", program)
    assert not found["works"]
    assert "DmlExecutionProvider" in found["reason"]


def test_a_session_whose_kernels_another_provider_ran_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = {"node_count_by_provider": {"CPUExecutionProvider": 5}}
    monkeypatch.setattr(actions, "prove", lambda job: {"files": [{"by_batch": {"1": ran}}]})
    assert diagnosis.try_session(make_job({"schema": 1, "action": "try", "provider": "cpu"}))["works"]
    assert not diagnosis.try_session(make_job({"schema": 1, "action": "try", "provider": "openvino"}))["works"]


def test_a_plug_in_that_is_not_there_is_named(tmp_path: Path, program: Path) -> None:
    job = {"schema": 1, "action": "try", "provider": "webgpu", "plugin": "onnxruntime_ep_of_nobody"}
    found = run_job(job, tmp_path / "out", program)
    assert not found["works"]
    assert "onnxruntime_ep_of_nobody" in found["reason"]
    assert found["devices"] == []


def test_what_native_code_writes_on_standard_error_is_heard_and_the_place_given_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with overheard() as said:
        os.write(2, b"\x1b[1;31mlibgpu.so is missing\x1b[m\n\n")
    os.write(2, b"after\n")
    assert said == ["libgpu.so is missing"]
    assert capfd.readouterr().err == "\x1b[1;31mlibgpu.so is missing\x1b[m\n\nafter\n"  # what is heard goes on too


def test_the_library_that_did_not_load_is_the_cause() -> None:
    expected = "libcublasLt.so.13: cannot open shared object file: No such file"
    assert cause(list(CUDA_LOG)) == expected
    assert cause(list(reversed(CUDA_LOG))) == expected


def test_an_error_of_the_runtime_is_a_cause_and_chatter_is_none() -> None:
    assert cause(["2026-11-21 18:59:43.1 [E:onnxruntime:, engine.cc:3 Build] no engine"]) == "no engine"
    assert cause(["[GPU] compiling", CUDA_LOG[1]]) is None


def test_a_session_that_cannot_be_is_refused_before_it_is_tried() -> None:
    with pytest.raises(Exception, match="'gpu' is no provider"):
        make_job({"schema": 1, "action": "try", "provider": "gpu"})


def test_nvidias_libraries_are_looked_for_only_where_a_provider_that_needs_them_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, looked = tmp_path / "tiny.onnx", []
    model.write_bytes(TINY_ONNX)
    monkeypatch.setattr(onnxruntime_import, "preload_libraries", lambda: looked.append("looked"))
    OnnxruntimeSession(str(model), SessionSpec("cpu"))
    assert looked == []
    with pytest.raises(MeasureError):
        OnnxruntimeSession(str(model), SessionSpec("directml"))
    assert looked == []
    with contextlib.suppress(MeasureError):  # a machine with a GPU has it
        OnnxruntimeSession(str(model), SessionSpec("cuda"))
    assert looked == ["looked"]
