"""What each provider is told: the table, and sessions' options made from it."""

import os
import re

import pytest

from kdbench.errors import MeasureError, UnknownName
from kdbench.measure.provider import FOLDER
from kdbench.measure.providers import FIELDS, LEGACY, TABLE, precisions_of
from kdbench.measure.session_spec import SessionSpec

TF32 = "NVIDIA_TF32_OVERRIDE"


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("cpu", {}),
        ("cuda", {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}),
        ("tensorrt", {}),
        ("openvino", {"precision": "FP32", "num_of_threads": "1", "num_streams": "1"}),
        ("coreml", {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}),
        ("qnn", {"enable_htp_fp16_precision": "0", "backend_type": "htp"}),
        ("tensorrt_rtx", {}),
        ("xnnpack", {"intra_op_num_threads": "1"}),
    ],
)
def test_fp32_is_pinned_where_a_provider_would_compute_in_less(provider: str, told: dict[str, str]) -> None:
    assert SessionSpec(provider=provider).provider_options() == told


def test_every_provider_computes_in_fp32_when_nothing_else_is_asked() -> None:
    for short in TABLE:
        assert SessionSpec(provider=short).asked("X").computes == "fp32"


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "tensorrt_rtx"])
def test_nvidias_libraries_are_kept_from_tf32_unless_it_is_asked_for(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TF32, "1")
    SessionSpec(provider=provider).pin_environment()
    assert os.environ[TF32] == "0"
    SessionSpec(provider=provider, precision="tf32").pin_environment()
    assert TF32 not in os.environ


def test_the_environment_of_a_cpu_session_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TF32, "1")
    SessionSpec().pin_environment()
    assert os.environ[TF32] == "1"


def _spec(provider: str, precision: str) -> SessionSpec:
    needed = TABLE[provider].precisions[precision].needs
    return SessionSpec(provider=provider, precision=precision, options={needed: "1"} if needed else {})


def test_precisions_differ_in_what_the_provider_is_told() -> None:
    for short, provider in TABLE.items():
        told = [
            (*_spec(short, name).provider_options().items(), *precision.environment.items())
            for name, precision in provider.precisions.items()
        ]
        assert len(set(told)) == len(told), short


def test_a_callers_options_win_and_what_they_touch_is_no_longer_vouched_for() -> None:
    plain = SessionSpec(provider="cuda", options={"device_id": "1"})
    assert plain.provider_options() == {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE", "device_id": "1"}
    assert plain.asked("X").computes == "fp32"
    own = SessionSpec(provider="cuda", options={"use_tf32": "1"})
    assert own.provider_options()["use_tf32"] == "1"
    assert own.asked("X").computes is None
    assert SessionSpec(provider="openvino", options={"load_config": "{}"}).asked("X").computes is None
    assert SessionSpec(provider="tensorrt", options={"trt_fp16_enable": "1"}).asked("X").computes is None


def test_what_a_provider_may_choose_layer_by_layer_is_not_claimed() -> None:
    assert SessionSpec(provider="tensorrt", precision="fp16").asked("X").computes is None
    assert SessionSpec(provider="migraphx", precision="bf16").asked("X").computes is None
    assert SessionSpec(provider="cuda", precision="tf32").asked("X").computes == "tf32"


def test_threads_search_cache_and_graphs_become_the_providers_own_options() -> None:
    assert SessionSpec(provider="openvino", threads_intra=3).provider_options()["num_of_threads"] == "3"
    cuda = SessionSpec(provider="cuda", search="heuristic", graphs=True).provider_options()
    assert cuda == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "enable_cuda_graph": "1"}
    assert SessionSpec(provider="tensorrt", engine_cache="/engines").provider_options() == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/engines",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/engines",
    }


def test_no_engine_is_kept_unless_a_folder_is_named() -> None:
    for short, provider in TABLE.items():
        folders = {name for name, value in provider.engine_cache.items() if value == FOLDER}
        assert not folders & SessionSpec(provider=short).provider_options().keys()
        assert bool(folders) == bool(provider.engine_cache)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"precision": "fp16"}, "provider cpu offers precision fp32, got 'fp16'."),
        (
            {"provider": "tensorrt", "precision": "fp8"},
            "provider tensorrt offers precision fp32, tf32, fp16, bf16, int8, got 'fp8'.",
        ),
        (
            {"provider": "qnn", "precision": "fp16", "options": {"htp_performance_mode": "burst"}},
            "provider qnn computes in fp16 only where it is told options: {soc_model: ...}; say it.",
        ),
        (
            {"graphs": True},
            "provider cpu has no 'graphs', only cuda, tensorrt do; its own settings go into 'options'.",
        ),
        (
            {"provider": "cuda", "engine_cache": "/x"},
            "provider cuda has no 'engine_cache', only tensorrt, openvino, coreml, migraphx, tensorrt_rtx do; "
            "its own settings go into 'options'.",
        ),
        (
            {"provider": "migraphx", "search": "heuristic"},
            "provider migraphx searches exhaustive, default, got 'heuristic'.",
        ),
        ({"provider": "mlx", "plugin": "x"}, "provider mlx offers precision default, got 'fp32'."),
    ],
)
def test_what_a_provider_does_not_have_is_refused(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(MeasureError) as caught:
        SessionSpec(**asked)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (
            "gpu",
            "'gpu' is no provider, which one is meant: cuda, tensorrt or tensorrt_rtx (NVIDIA), ",
        ),
        ("rocm", "provider rocm went out of onnxruntime with 1.23; say migraphx, or name the plug-in package that "),
    ],
)
def test_a_word_that_no_one_provider_answers_to_is_asked_back(word: str, sentence: str) -> None:
    with pytest.raises(UnknownName) as caught:
        SessionSpec(provider=word)
    assert str(caught.value).startswith(sentence)
    assert SessionSpec(provider=word, plugin="acme_ep", precision="default").provider_asked == word


def test_every_row_with_options_says_which_release_they_were_read_from() -> None:
    for short, provider in TABLE.items():
        sets = [provider.always, provider.engine_cache, provider.graphs, *provider.search.values()]
        told = any(sets) or any(precision.options for precision in provider.precisions.values())
        assert provider.takes_options is False or not told or re.search(r"\d+\.\d+\.\d+", provider.read_from), short


def test_what_its_makers_only_maintain_is_marked() -> None:
    assert set(LEGACY) == {"directml"}


def test_a_name_outside_the_table_needs_a_plugin() -> None:
    with pytest.raises(UnknownName, match=r"^there is no provider 'mlx'\."):
        SessionSpec(provider="mlx")
    spec = SessionSpec(provider="mlx", plugin="onnxruntime_ep_mlx", precision="default", options={"a": "1"})
    assert spec.provider_options() == {"a": "1"}
    assert spec.asked("MLXExecutionProvider").computes is None
    assert precisions_of("mlx") == ("default",)


def test_the_fields_of_the_table_are_those_of_a_session() -> None:
    assert set(FIELDS) <= set(SessionSpec.__dataclass_fields__)
