"""Providers that take only fixed shapes: onnxruntime on the CPU stands for one."""

import platform
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import FileOf, conv_net

from kdbench.errors import MeasureError
from kdbench.measure import providers
from kdbench.measure.runtimes.fixed_shapes import FixedShapesSession, free_axes
from kdbench.measure.runtimes.onnxruntime import Onnxruntime, OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> SessionSpec:
    """A session on the CPU, whose provider now takes only fixed shapes."""
    monkeypatch.setitem(providers.TABLE, "cpu", replace(providers.TABLE["cpu"], takes_fixed_shapes=True))
    return SessionSpec()


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)


def test_each_shape_of_the_inputs_has_one_session_of_its_own(file_of: FileOf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of("conv.onnx", conv_net())["path"]
    opened: list[dict[str, int]] = []

    def open_at(sizes: dict[str, int]) -> OnnxruntimeSession:
        opened.append(sizes)
        return OnnxruntimeSession(path, SessionSpec(), sizes=sizes)

    session, free = FixedShapesSession(path, "CPUExecutionProvider", open_at), OnnxruntimeSession(path, SessionSpec())
    for count in (1, 4, 1, 4):
        assert np.array_equal(session.run({"x": images(count)})[0], free.run({"x": images(count)})[0])
    assert opened == [{"n": 1}, {"n": 4}]
    with pytest.raises(MeasureError, match="does not run on these inputs"):
        open_at({"n": 1}).run({"x": images(4)})  # its axis is fixed in truth


def test_calls_and_proofs_are_those_of_the_shape(file_of: FileOf, fixed: SessionSpec) -> None:
    path = file_of("conv.onnx", conv_net())["path"]
    assert free_axes(path) == {"x": {0: "n"}}
    session = Onnxruntime().load(path, fixed)
    bound = session.bind([{"x": images(2)}, {"x": images(2)}])
    bound.run(1)
    assert np.array_equal(bound.outputs(1)[0], session.run({"x": images(2)})[0])
    proof = Onnxruntime().prove(path, fixed, {size: {"x": images(size)} for size in (1, 3)})
    assert list(proof["by_batch"]) == ["1", "3"]
    assert all(one["node_count_by_provider"]["CPUExecutionProvider"] > 1 for one in proof["by_batch"].values())


def test_a_provider_that_emulates_its_hardware_answers_and_is_never_timed(
    file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of("conv.onnx", conv_net())["path"]
    emulating = replace(providers.TABLE["cpu"], emulated_on=frozenset({platform.machine()}))
    monkeypatch.setitem(providers.TABLE, "cpu", emulating)
    assert Onnxruntime().load(path, SessionSpec()).run({"x": images(1)})[0].shape == (1, 4)
    with pytest.raises(MeasureError, match="emulates its hardware on this machine: answers are judged, but times"):
        Onnxruntime().prove(path, SessionSpec(), {1: {"x": images(1)}})
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert Onnxruntime().prove(path, SessionSpec(), {1: {"x": images(1)}})["by_batch"]
