"""A row never bears the name of a provider that did not do its work: runtimes that lie, and a real one."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tiny_models import FileOf, conv_net

from kdbench.errors import MeasureError
from kdbench.measure import actions
from kdbench.measure.__main__ import main
from kdbench.measure.client import run_job
from kdbench.measure.jobs import make_job
from kdbench.measure.runtimes import onnxruntime_import
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
Job = dict[str, Any]


class Lying:
    """The CPU provider of the real runtime, whose sessions say that CUDA comes first."""

    assigned: str | None = None
    """Whose all nodes are; None for a runtime too old to say."""

    def __init__(self, path: str, options: Any, providers: Any, enable_fallback: int) -> None:
        self._session = onnxruntime.InferenceSession(path, options, providers=[CPU])
        if self.assigned is not None:
            self.get_provider_graph_assignment_info = lambda: [
                SimpleNamespace(ep_name=self.assigned, get_nodes=lambda: [SimpleNamespace(op_type="Conv")])
            ]

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def __getattr__(self, name: str) -> Any:
        if name == "get_provider_graph_assignment_info":
            raise AttributeError(name)
        return getattr(self._session, name)


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Puts a lying runtime in place of onnxruntime."""

    def replace(assigned: str | None) -> None:
        session = type("Session", (Lying,), {"assigned": assigned})
        fake = SimpleNamespace(**{**vars(onnxruntime), "InferenceSession": session})
        monkeypatch.setattr(onnxruntime_import, "onnxruntime", lambda: fake)

    return replace


def test_a_session_whose_nodes_all_went_elsewhere_is_refused(
    lying: Callable[[str | None], None], file_of: FileOf
) -> None:
    lying(CPU)
    sentence = rf"^asked for {CUDA}, which took none of the file's nodes; {CPU} did\.$"
    with pytest.raises(MeasureError, match=sentence):
        OnnxruntimeSession(file_of("net", conv_net())["path"], SessionSpec(provider="cuda"))


@pytest.mark.parametrize("assigned", [None, CUDA])
def test_a_profile_without_the_asked_providers_kernels_is_no_proof(
    lying: Callable[[str | None], None], file_of: FileOf, job: Job, assigned: str | None
) -> None:
    lying(assigned)
    asked = make_job(
        {**job, "action": "prove", "provider": "cuda", "files": [file_of("net", conv_net())], "batch_sizes": [2]}
    )
    (entry,) = actions.prove(asked)["files"]
    assert entry["error"] == f"asked for {CUDA}, which ran none of the file's nodes; {CPU} did (batch size 2)."
    assert "by_batch" not in entry


def det_net(*operators: str) -> onnx.ModelProto:
    """Operators of one input, one after another: images (n, 3, 8, 8) to (n, 3) if Det is among them."""
    names = ["x", *(f"t{number}" for number in range(len(operators) - 1)), "y"]
    nodes = [
        helper.make_node(operator, [taken], [given])
        for operator, taken, given in zip(operators, names, names[1:], strict=False)
    ]
    graph = helper.make_graph(
        nodes,
        "det",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def openvino() -> str:
    python = os.environ.get("KDBENCH_OPENVINO_PYTHON")
    if not python:
        pytest.skip("KDBENCH_OPENVINO_PYTHON names no interpreter with onnxruntime-openvino")
    return python


def test_openvino_is_proved_by_nodes_and_kernel_time_and_what_it_leaves_to_the_cpu_is_said(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf, openvino: str
) -> None:
    files = [
        file_of("whole", conv_net()),
        file_of("crossing", det_net("Relu", "Neg", "Abs", "Det", "Relu")),
        file_of("unsupported", det_net("Det")),
    ]
    asked = {**job, "action": "prove", "provider": "openvino", "files": files, "batch_sizes": [1, 4]}
    whole, crossing, unsupported = run_job(asked, tmp_path / "out", program, openvino)["files"]
    assert whole["by_batch"]["4"]["node_count_by_provider"] == {OPENVINO: 1}
    assert whole["by_batch"]["4"]["assigned_node_count_by_provider"] == {OPENVINO: 5}
    assert whole["by_batch"]["4"]["effective_precision"] == "fp32"
    assert whole["provider_options"]["precision"] == "FP32"
    assert crossing["by_batch"]["1"]["assigned_node_count_by_provider"] == {OPENVINO: 4, CPU: 1}
    assert crossing["by_batch"]["1"]["kernel_ns_by_provider"].keys() == {OPENVINO, CPU}
    # its Det alone: OpenVINO is still the first of get_providers()
    assert unsupported["error"] == f"asked for {OPENVINO}, which took none of the file's nodes; {CPU} did."


def test_a_provider_that_did_not_load_gives_its_own_reason(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf, openvino: str
) -> None:
    options = {"precision": "FP16", "device_type": "CPU"}
    asked = {
        **job,
        "action": "prove",
        "provider": "openvino",
        "options": options,
        "files": [file_of("net", conv_net())],
    }
    sentence = rf"^asked for {OPENVINO}, onnxruntime chose {CPU}: .*CPU only supports FP32, ACCURACY\.$"
    with pytest.raises(MeasureError, match=sentence):
        run_job({**asked, "batch_sizes": [1]}, tmp_path / "out", program, openvino)


def test_openvinos_fp32_is_float32_and_bf16_is_another_precision(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf, openvino: str
) -> None:
    file = file_of("net", conv_net(channels=64))
    exact = OnnxruntimeSession(file["path"], SessionSpec()).run({"x": np.load(job["inputs"])["x"]})[0]

    def difference(precision: str) -> float:
        asked = {**job, "action": "predict", "provider": "openvino", "precision": precision, "files": [file]}
        run_job({**asked, "batch_size": 20}, tmp_path / precision, program, openvino)
        return float(np.abs(np.load(tmp_path / precision / f"{file['digest']}.npy") - exact).max())

    assert difference("fp32") < 1e-4 * np.abs(exact).max()
    if "bf16" in Path("/proc/cpuinfo").read_text():
        assert difference("bf16") > 1e-3


def test_fp32_on_an_nvidia_gpu_forbids_tf32_whatever_the_shell_says(
    tmp_path: Path, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "TensorrtExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime would build an engine")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    job = {"schema": 1, "action": "prove", "provider": "tensorrt", "inputs": "i.npz", "batch_sizes": [1]}
    path = tmp_path / "job.json"
    path.write_text(json.dumps({**job, "files": [file_of("net", conv_net())]}))
    main([str(path), str(tmp_path)])
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
