"""Files of torch's own in the measuring program: the same answers as the network, proved, and never in ONNX's jobs."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdbench.errors import MeasureError
from kdbench.measure.client import run_job
from kdbench.measure.program import pack
from kdbench.measure.runtimes import torch as torch_runtime
from kdbench.measure.runtimes.torch import NO_COMPILER, TorchSession
from kdbench.measure.session_spec import SessionSpec

Job = dict[str, Any]


class TwoInputs(nn.Module):
    """Tells its inputs apart."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first - 2 * second


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    return nn.Sequential(*layers).eval()


@pytest.fixture
def saved(network: nn.Module, tmp_path: Path) -> Path:
    torch_runtime.save(network, (torch.zeros(2, 3, 8, 8),), ("x",), tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


@pytest.fixture
def torch_job(job: Job, saved: Path) -> Job:
    entry = {"digest": hashlib.sha256(saved.read_bytes()).hexdigest(), "path": str(saved)}
    return {**job, "provider": "torch", "files": [entry], "batch_sizes": [1, 4]}


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_a_file_answers_as_the_network_that_it_came_from(network: nn.Module, saved: Path, batch_size: int) -> None:
    images = np.random.default_rng(1).normal(size=(batch_size, 3, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    session = TorchSession(str(saved), SessionSpec(provider="torch"))
    assert np.allclose(session.run_checked({"x": images})[0], expected, atol=1e-6)
    bound = session.bind([{"x": images}, {"x": images + 1}])
    bound.run(1)
    bound.run(0)
    assert np.allclose(bound.outputs(0)[0], expected, atol=1e-6)
    assert not np.allclose(bound.outputs(1)[0], expected, atol=1e-6)


def test_inputs_are_told_apart_by_name_whatever_order_they_come_in(tmp_path: Path) -> None:
    torch_runtime.save(TwoInputs().eval(), (torch.zeros(2, 3), torch.zeros(2, 3)), ("a", "b"), tmp_path / "two.pt2")
    session = TorchSession(str(tmp_path / "two.pt2"), SessionSpec(provider="torch"))
    feed = {"b": np.ones((4, 3), np.float32), "a": np.full((4, 3), 5, np.float32)}
    assert (session.run(feed)[0] == 3).all()
    with pytest.raises(MeasureError, match="wants an input 'b', the inputs given are named a"):
        session.run({"a": feed["a"]})


class AnyNumber(nn.Module):
    """Takes its inputs as one argument, as networks of texts do."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return (inputs[0] * inputs[1]).sum(1)


def test_a_network_whose_inputs_are_one_argument_keeps_their_axes_free(tmp_path: Path) -> None:
    example = (torch.ones(2, 3), torch.ones(2, 3))
    torch_runtime.save(AnyNumber().eval(), example, ("a", "b"), tmp_path / "any.pt2", ((0, 1), (0, 1)))
    session = TorchSession(str(tmp_path / "any.pt2"), SessionSpec(provider="torch"))
    feed = {"a": np.full((5, 4), 3, np.float32), "b": np.full((5, 4), 2, np.float32)}
    assert session.run(feed)[0].tolist() == [24.0] * 5


def test_every_operator_ran_in_torch_and_in_fp32(saved: Path) -> None:
    session = TorchSession(str(saved), SessionSpec(provider="torch"))
    proof = session.proof({"x": np.zeros((2, 3, 8, 8), np.float32)})
    assert proof == {"node_count_by_provider": {"torch": 6}, "effective_precision": "fp32"}


def test_outputs_that_are_not_finite_are_an_error(saved: Path) -> None:
    session = TorchSession(str(saved), SessionSpec(provider="torch"))
    with pytest.raises(MeasureError, match="gives outputs that are not finite"):
        session.run_checked({"x": np.full((1, 3, 8, 8), np.inf, np.float32)})


def test_inputs_of_another_shape_are_an_error_in_a_sentence(saved: Path) -> None:
    with pytest.raises(MeasureError, match="does not run on these inputs"):
        TorchSession(str(saved), SessionSpec(provider="torch")).run({"x": np.zeros((1, 5, 8, 8), np.float32)})


@pytest.mark.parametrize("content", [b"", b"no program", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_program_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pt2").write_bytes(content)
    with pytest.raises(MeasureError, match=r"cannot load .*net\.pt2"):
        TorchSession(str(tmp_path / "net.pt2"), SessionSpec(provider="torch"))


def test_a_network_that_torch_cannot_export_is_named(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(MeasureError, match=r"torch\.export cannot write Branching"):
        torch_runtime.save(Branching().eval(), (torch.zeros(2, 3),), ("x",), tmp_path / "net.pt2")


@pytest.mark.parametrize("field", [{"options": {"device": "cuda"}}, {"plugin": "onnxruntime_ep_x"}, {"graphs": True}])
def test_what_only_onnxruntime_has_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(MeasureError, match=f"provider torch .*{next(iter(field))}"):
        SessionSpec(provider="torch", **field)


def test_a_missing_compiler_is_one_sentence(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo import config as dynamo
    from torch._inductor import config as inductor
    from torch._inductor import cpp_builder

    def none_found() -> str:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    kept = inductor.patch(force_disable_caches=inductor.force_disable_caches, compile_threads=inductor.compile_threads)
    with kept, dynamo.patch(recompile_limit=dynamo.recompile_limit), pytest.raises(MeasureError) as refused:
        TorchSession(str(saved), SessionSpec(provider="torch_compiled"))
    assert str(refused.value) == NO_COMPILER


def test_a_process_times_it_as_any_file_and_says_that_torch_did(
    torch_job: Job, network: nn.Module, tmp_path: Path
) -> None:
    program = pack(tmp_path / "measure.pyz")
    timed = run_job({**torch_job, "action": "time"}, tmp_path / "time", program)
    assert (timed["runtime"], timed["runtime_version"]) == ("torch", torch.__version__)
    assert timed["modules"] == []
    (file,) = timed["files"]
    assert file["providers_got"] == ["torch"]
    with torch.inference_mode(), np.load(torch_job["inputs"]) as inputs:
        classes = network(torch.from_numpy(inputs["x"])).argmax(1).tolist()
    for batch_size, found in file["by_batch"].items():
        assert len(found["samples_ns"]) == 20
        assert len(found["thread_cpu_ns"]) == 4
        said = [answer for batch in found["classes"] for answer in batch]
        assert said == classes[: len(said)], batch_size


@pytest.mark.slow
def test_the_doctors_trial_runs_a_tiny_network_in_torch(tmp_path: Path) -> None:
    program = pack(tmp_path / "measure.pyz")
    found = run_job({"schema": 1, "action": "try", "provider": "torch"}, tmp_path / "out", program)
    assert found["works"]
    assert found["node_count_by_provider"] == {"torch": 5}
    assert found["said"] == []


@pytest.mark.slow
def test_compiled_it_answers_the_same_and_pays_for_that_in_the_first_call(torch_job: Job, tmp_path: Path) -> None:
    """Twenty seconds of g++ and more."""
    program = pack(tmp_path / "measure.pyz")
    plain = run_job({**torch_job, "action": "time"}, tmp_path / "plain", program)["files"][0]["by_batch"]
    asked = {**torch_job, "provider": "torch_compiled", "action": "time"}
    (file,) = run_job(asked, tmp_path / "compiled", program)["files"]
    assert file["provider_asked"] == "torch_compiled"
    for batch_size, found in file["by_batch"].items():
        assert found["classes"] == plain[batch_size]["classes"]
        assert found["first_inference_ns"] > 10 * max(found["samples_ns"])


@pytest.mark.slow
def test_without_a_compiler_a_compiled_row_fails_in_a_sentence(
    torch_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path))
    program = pack(tmp_path / "measure.pyz")
    with pytest.raises(MeasureError, match="finds no C\\+\\+ compiler"):
        run_job({**torch_job, "provider": "torch_compiled", "action": "time"}, tmp_path / "out", program)
