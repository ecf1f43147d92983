"""Timing a file outside a suite: what it is timed on, what comes back, and what is refused with which sentence."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from saved_nets import save_net

from kdbench import stats
from kdbench.errors import MeasureError, UnknownName
from kdbench.measure.providers import PROVIDERS
from kdbench.measure.runtimes.onnxruntime import Onnxruntime
from kdbench.timing import Latency, time_onnx
from kdbench.timing._inputs import drawn, given
from kdbench.timing.random_inputs import BATCHES

QUICK: dict[str, Any] = {"calls": 40, "seconds": 0.0}


def latency(samples: tuple[tuple[int, ...], ...]) -> Latency:
    return Latency(
        model="a.onnx",
        provider_asked="CPUExecutionProvider",
        providers_got=("CPUExecutionProvider",),
        kernel_ns_by_provider={},
        runtime="onnxruntime 1",
        target="cpu-1t-fp32",
        effective_precision="fp32",
        batch_size=1,
        samples_ns=samples,
        warnings=(),
    )


def test_a_file_alone_has_the_samples_of_every_process_and_who_ran_it(tmp_path: Path) -> None:
    found = time_onnx(save_net(tmp_path / "a.onnx"), tmp_path / "scratch", processes=2, **QUICK)
    assert [len(process) for process in found.samples_ns] == [40, 40]
    assert found.providers_got == ("CPUExecutionProvider",)
    assert found.kernel_ns_by_provider["CPUExecutionProvider"] > 0
    assert found.runtime.startswith("onnxruntime ")
    assert (found.setting, found.effective_precision) == ("cpu-1t-fp32/batch 1", "fp32")
    assert stats.TOO_FEW in found.warnings, "two processes are too few"
    assert min(map(min, found.samples_ns)) < found.p50_ns < max(map(max, found.samples_ns))
    assert found.ratio is None


def test_a_narrow_net_is_faster_than_a_wide_one(tmp_path: Path) -> None:
    """8 x 16 x 4 multiply-adds against 8 x 20,000 x 4."""
    wide, narrow = save_net(tmp_path / "wide.onnx", 20_000), save_net(tmp_path / "narrow.onnx")
    faster = time_onnx(narrow, tmp_path / "scratch", against=wide, **QUICK)
    assert faster.ratio
    assert (faster.ratio.verdict, len(faster.ratio.reference_samples_ns)) == ("ok", 3)
    assert faster.ratio.low <= faster.ratio.value <= faster.ratio.high < 0.5


@pytest.mark.slow
def test_a_wide_net_is_slower_than_a_narrow_one(tmp_path: Path) -> None:
    wide, narrow = save_net(tmp_path / "wide.onnx", 20_000), save_net(tmp_path / "narrow.onnx")
    slower = time_onnx(wide, tmp_path / "scratch", against=narrow, **QUICK)
    assert slower.ratio
    assert slower.ratio.verdict == "slower"
    assert 2 < slower.ratio.low <= slower.ratio.value <= slower.ratio.high
    assert len(slower.samples_ns) == len(slower.ratio.reference_samples_ns) == 10, "three processes, then seven"


def test_the_same_bytes_are_the_same_speed(tmp_path: Path) -> None:
    path = save_net(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(path.read_bytes())
    found = time_onnx(path, tmp_path / "scratch", against=tmp_path / "b.onnx", **QUICK)
    assert found.ratio
    assert (found.ratio.value, found.ratio.low, found.ratio.high, found.ratio.verdict) == (1.0, 1.0, 1.0, "ok")
    assert found.samples_ns


def test_percentiles_are_none_where_the_calls_are_too_few() -> None:
    few = latency(((1, 2, 3),) * 3)
    assert (few.p50_ns, few.p90_ns, few.p99_ns) == (2.0, None, None)
    enough = latency((tuple(range(1, 201)),) * 4)
    assert enough.p50_ns == 100.5
    assert enough.p90_ns == pytest.approx(180, abs=1)
    assert enough.p99_ns == pytest.approx(198, abs=1), "four processes of 200 are 800 calls"


def test_inputs_are_drawn_by_the_files_shapes(tmp_path: Path) -> None:
    free = drawn(save_net(tmp_path / "free.onnx"), None)
    assert (free.batch_size, free.arrays["x"].shape, free.arrays["x"].dtype) == (1, (BATCHES, 8), np.float32)
    assert drawn(tmp_path / "free.onnx", 4).arrays["x"].shape == (BATCHES * 4, 8)
    assert len(np.unique(free.arrays["x"])) == BATCHES * 8, "no two examples are alike"
    fixed = drawn(save_net(tmp_path / "fixed.onnx", shape=(3, 8), kind=TensorProto.FLOAT16), None)
    assert (fixed.batch_size, fixed.arrays["x"].shape, fixed.arrays["x"].dtype) == (3, (BATCHES * 3, 8), np.float16)


def test_given_inputs_are_one_call_unless_a_batch_size_says_otherwise() -> None:
    assert given({"x": np.zeros((6, 8))}, None).batch_size == 6
    assert given({"x": np.zeros((6, 8))}, 2).batch_size == 2


@pytest.mark.parametrize(
    ("shape", "kind", "batch_size", "sentence"),
    [
        (
            ("n", 8),
            TensorProto.STRING,
            None,
            "the input 'x' holds .*, of which no random examples are made; give inputs",
        ),
        (("n", "t"), TensorProto.FLOAT, None, "the input 'x' has an axis without a fixed length .*; give inputs"),
        ((), TensorProto.FLOAT, None, "the input 'x' has an axis without a fixed length .*; give inputs"),
        ((3, 8), TensorProto.FLOAT, 2, "takes batches of 3 only, got batch_size 2"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    shape: tuple[int | str, ...], kind: int, batch_size: int | None, sentence: str, tmp_path: Path
) -> None:
    path = save_net(tmp_path / "a.onnx", shape=shape, kind=kind)
    with pytest.raises(MeasureError, match=sentence):
        drawn(path, batch_size)


def test_a_file_that_is_no_onnx_says_so(tmp_path: Path) -> None:
    for text in ("no model", ""):
        (tmp_path / "a.onnx").write_text(text)
        with pytest.raises(MeasureError, match="is no ONNX file"):
            time_onnx(tmp_path / "a.onnx", tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0."),
        ({"processes": 1.5}, "processes must be a whole number of at least 1, got 1.5."),
        ({"seconds": -1}, "seconds must be >= 0, got -1."),
        ({"max_ratio": 1.0}, "max_ratio must be > 1, got 1.0."),
        ({"against": "nowhere.onnx"}, "there is no file nowhere.onnx; name an ONNX file."),
        ({"inputs": {}}, "inputs must be arrays with one common length"),
        ({"inputs": {"x": np.zeros((2, 8)), "y": np.zeros(3)}}, "inputs must be arrays with one common length"),
        ({"inputs": {"x": np.array([object()])}}, "one of them holds Python objects"),
        ({"inputs": {"z": np.zeros((1, 8), np.float32)}}, "wants an input 'x'"),
    ],
)
def test_what_cannot_be_timed_is_one_sentence(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = save_net(tmp_path / "a.onnx")
    with pytest.raises(MeasureError, match=re.escape(sentence)):
        time_onnx(path, tmp_path / "scratch", **{**QUICK, **options})


def test_a_provider_that_is_not_here_is_an_error_and_never_the_cpu(tmp_path: Path) -> None:
    available = Onnxruntime().describe()["providers_available"]
    absent = next(short for short in ("coreml", "directml", "qnn") if PROVIDERS[short] not in available)
    with pytest.raises(MeasureError, match=PROVIDERS[absent]):
        time_onnx(save_net(tmp_path / "a.onnx"), tmp_path / "scratch", provider=absent, **QUICK)


def test_an_unknown_provider_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises((UnknownName, MeasureError), match="no provider 'cup'"):
        time_onnx(save_net(tmp_path / "a.onnx"), tmp_path / "scratch", provider="cup", **QUICK)
