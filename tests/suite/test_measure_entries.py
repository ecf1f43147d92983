"""Measure entries of a suite: what they may ask of a provider, what their targets are called, where faults are said."""

import sys
from pathlib import Path
from typing import Any

import pytest

from kdbench.cli._shared import plans_of
from kdbench.errors import SuiteError
from kdbench.suite.reader import load
from kdbench.suite.targets import targets_of

SUITE = """kdbench: 1
name: s
task: digits
seeds: [0]
recipes:
  train: {epochs: 1, batch_size: 64, learning_rate: 0.05}
student: {model: {cnn: {channels: [4]}}}
cases:
  from-scratch: []
measure:
"""
LINE = SUITE.count("\n") + 1


def written(folder: Path, *entries: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(SUITE + "".join(f"  - {{{entry}}}\n" for entry in entries))
    return path


def sessions(folder: Path, *entries: str) -> list[dict[str, Any]]:
    return [target.session for target in targets_of(load(written(folder, *entries)).measure)]


def ids(folder: Path, *entries: str) -> list[str]:
    return [target.id for target in targets_of(load(written(folder, *entries)).measure)]


def test_a_session_says_what_the_entry_asks_and_nothing_it_leaves_out(tmp_path: Path) -> None:
    plain, full = sessions(
        tmp_path,
        "provider: cpu",
        "provider: cuda, precisions: [tf32], search: heuristic, graphs: true, options: {device_id: 1, prefer_nhwc: x}",
    )
    assert plain.keys() == {"provider", "threads_intra", "threads_inter", "graph_optimization", "precision"}
    assert full == {
        **plain,
        "provider": "cuda",
        "precision": "tf32",
        "search": "heuristic",
        "graphs": True,
        "options": {"device_id": "1", "prefer_nhwc": "x"},
    }


def test_every_precision_is_a_target(tmp_path: Path) -> None:
    entry = "provider: tensorrt, precisions: [fp32, fp16, int8], engine_cache: ~/engines"
    assert ids(tmp_path, entry) == [f"local-tensorrt-1t-{precision}" for precision in ("fp32", "fp16", "int8")]
    assert {session["engine_cache"] for session in sessions(tmp_path, entry)} == {str(Path.home() / "engines")}


def test_a_name_tells_two_entries_of_one_provider_apart(tmp_path: Path) -> None:
    found = ids(tmp_path, "provider: cpu", "provider: cpu, name: old_runtime, python: /usr/bin/python3, threads: [2]")
    assert found == ["local-cpu-1t-fp32", "local-old_runtime-2t-fp32"]


def test_a_plugin_brings_a_provider_under_any_name(tmp_path: Path) -> None:
    known, unknown = sessions(
        tmp_path,
        "provider: openvino, plugin: onnxruntime_ep_openvino",
        "provider: mlx, plugin: onnxruntime_ep_mlx, precisions: [default]",
    )
    assert (known["provider"], known["plugin"]) == ("openvino", "onnxruntime_ep_openvino")
    assert (unknown["provider"], unknown["precision"]) == ("mlx", "default")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("provider: cud", "provider: there is no provider 'cud'. Did you mean 'cuda'?"),
        ("provider: cpu, precisions: [fp32, bf16]", "precisions: provider cpu offers precision fp32, got 'bf16'."),
        ("provider: cuda, precisions: [fp16]", "precisions: provider cuda offers precision fp32, tf32, got 'fp16'."),
        (
            "provider: mlx, plugin: onnxruntime_ep_mlx, precisions: [fp32]",
            "precisions: provider mlx offers precision default, got 'fp32'.",
        ),
        (
            "provider: openvino, graphs: true",
            "graphs: provider openvino has no 'graphs', only cuda, tensorrt do; its own settings go into 'options'.",
        ),
        (
            "provider: openvino, search: default",
            "search: provider openvino has no 'search', only cuda, migraphx do; its own settings go into 'options'.",
        ),
        (
            "provider: cuda, search: fastest",
            "search: must be 'exhaustive', 'heuristic' or 'default', got 'fastest'.",
        ),
        (
            "provider: migraphx, search: heuristic",
            "search: provider migraphx searches exhaustive, default, got 'heuristic'.",
        ),
        (
            "provider: gpu",
            "provider: 'gpu' is no provider, which one is meant: cuda, tensorrt or tensorrt_rtx (NVIDIA), "
            "migraphx (AMD), coreml (Apple), directml (Windows), openvino (Intel), qnn (Qualcomm) or webgpu?",
        ),
        ("provider: cpu, options: {a: 1}", "options: provider cpu has no options of its own; leave them out."),
        (
            "provider: torch, options: {a: 1}",
            "options: provider torch has no options of its own; leave them out.",
        ),
        ("provider: cpu, threads: [10000]", "threads.0: must be <= 4096, got 10000."),
        ("provider: cpu, processes: 1000000", "processes: must be <= 1000, got 1000000."),
        (
            "plugin: p, provider: ../x, precisions: [default]",
            "provider: '../x' is no name of a provider: up to 40 letters, digits and _, starting with a letter.",
        ),
        ("provider: cpu, options: {a: true}", "options.a: must be text or a whole number or a number, got true."),
        ("provider: cpu, graph: true", "graph: a measure entry has no field 'graph'. Did you mean 'graphs'?"),
        (
            "provider: cpu, name: Old-One",
            "name: 'Old-One' cannot be a name: a small letter, then small letters, digits and _ only, "
            "at most 30 characters.",
        ),
    ],
)
def test_what_a_provider_does_not_have_is_refused_at_its_place(tmp_path: Path, entry: str, fault: str) -> None:
    path = written(tmp_path, entry)
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:{LINE}: measure.0.{fault}"


def test_the_precision_that_is_left_out_is_refused_too_where_a_plugin_has_none_of_that_name(tmp_path: Path) -> None:
    path = written(tmp_path, "provider: mlx, plugin: onnxruntime_ep_mlx")
    with pytest.raises(SuiteError, match=r"measure\.0: provider mlx offers precision default, got 'fp32'\.$"):
        load(path)


def test_a_variable_that_is_not_set_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDBENCH_OPENVINO_PYTHON", raising=False)
    path = written(tmp_path, 'provider: openvino, python: "${KDBENCH_OPENVINO_PYTHON}"')
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:{LINE}: measure.0.python: the environment variable KDBENCH_OPENVINO_PYTHON is not set; "
        "export KDBENCH_OPENVINO_PYTHON=... first."
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, r"cannot start {python} \(No such file or directory\); give the path of a Python"),
        ("#!/bin/sh\necho what >&2\nexit 1\n", r"{python} is no Python: what; give the path of a Python"),
        ("#!/bin/sh\nshift\nexec '{here}' -S \"$@\"\n", r"the interpreter .* has no numpy; run `.* -m pip install"),
    ],
)
def test_an_interpreter_that_cannot_measure_is_refused_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, fault: str
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    python = tmp_path / "python"
    if content is not None:
        python.write_text(content.replace("{here}", sys.executable))
        python.chmod(0o755)
    path = written(tmp_path, f"provider: cpu, python: {python}")
    with pytest.raises(SuiteError, match=f"^{path}:{LINE}: measure.0.python: {fault.replace('{python}', str(python))}"):
        plans_of(path)
