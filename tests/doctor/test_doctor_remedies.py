"""The commands: which package, into which environment, quoted for a shell."""

import platform
import shlex
import sys

import pytest

from kdbench.doctor import remedies

PIP = {"has_pip": True, "distributions": []}
WITH_PLAIN = {"has_pip": True, "distributions": [{"name": "onnxruntime"}]}
WITH_GPU = {"has_pip": True, "distributions": [{"name": "onnxruntime-gpu"}]}
PYTHON = "/envs/a b/bin/python"


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def commands(provider: str, found: dict[str, object], is_own: bool = False, gpus: tuple[str, ...] = ()) -> list[str]:
    remedy = remedies.provider_remedy(provider, found, PYTHON, is_own, gpus)
    return list(remedy.commands) if remedy else []


def test_beside_another_onnxruntime_a_provider_gets_an_environment_of_its_own() -> None:
    own = [
        f"{shlex.quote(sys.executable)} -m venv ~/.venvs/openvino",
        "~/.venvs/openvino/bin/python -m pip install numpy onnxruntime-openvino",
    ]
    assert commands("openvino", WITH_PLAIN) == own
    assert commands("openvino", PIP, is_own=True) == own


def test_into_an_environment_without_a_runtime_it_is_installed() -> None:
    assert commands("openvino", PIP) == ["'/envs/a b/bin/python' -m pip install numpy onnxruntime-openvino"]


def test_an_environment_without_pip_gets_pip_first() -> None:
    assert commands("openvino", {**PIP, "has_pip": False})[0] == "'/envs/a b/bin/python' -m ensurepip"


def test_without_an_nvidia_gpu_no_command_is_promised_to_help() -> None:
    remedy = remedies.provider_remedy("cuda", WITH_GPU, PYTHON, False, ())
    assert remedy is not None
    assert "no NVIDIA GPU with a driver" in remedy.text
    assert remedy.commands == ()


def test_with_a_gpu_the_libraries_that_are_missing_are_installed() -> None:
    gpus = ("NVIDIA H100, 580",)
    assert commands("cuda", WITH_GPU, gpus=gpus) == [
        "'/envs/a b/bin/python' -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
    ]
    assert commands("tensorrt", WITH_GPU, gpus=gpus)[0].endswith("'tensorrt-cu13<11'")


def test_a_provider_that_no_package_brings_to_this_system_is_told_so() -> None:
    remedy = remedies.provider_remedy("directml", PIP, PYTHON, False, ())
    assert remedy is not None
    assert (remedy.text, remedy.commands) == (
        "no package brings directml to Linux; it takes an onnxruntime built with it",
        (),
    )


def test_a_provider_that_only_a_plug_in_brings_is_installed_beside_the_runtime() -> None:
    for provider, package in (("webgpu", "onnxruntime-ep-webgpu"), ("qnn", "onnxruntime-qnn")):
        remedy = remedies.provider_remedy(provider, WITH_PLAIN, PYTHON, False, ())
        assert remedy is not None
        assert f"`plugin: {package.replace('-', '_')}`" in remedy.text
        assert remedy.commands == (f"'/envs/a b/bin/python' -m pip install {package}",)


def installed(name: str, version: str, is_there: bool) -> dict[str, object]:
    counted = {"file_count": 300, "missing_file_count": 0, "compiled_is_its_own": is_there}
    return {"name": name, "version": version, "folder": "/envs/site-packages/onnxruntime", **counted}


def test_kdbenchs_own_environment_keeps_the_plain_runtime_and_the_other_gets_its_own() -> None:
    found = {
        "distributions": [installed("onnxruntime", "1.31.1", False), installed("onnxruntime-gpu", "1.31.1", True)],
        "has_pip": True,
    }
    (trouble,) = remedies.overwritten(found, "/own/python", is_own=True)
    assert "what is really there is onnxruntime-gpu 1.31.1" in trouble.text
    assert trouble.commands == (
        "/own/python -m pip uninstall -y onnxruntime onnxruntime-gpu",
        "/own/python -m pip install onnxruntime==1.31.1",
        f"{shlex.quote(sys.executable)} -m venv ~/.venvs/cuda",
        "~/.venvs/cuda/bin/python -m pip install numpy onnxruntime-gpu==1.31.1",
    )


def test_the_same_distribution_seen_in_two_folders_overwrites_nothing() -> None:
    elsewhere = {**installed("onnxruntime-gpu", "1.31.1", True), "folder": "/usr/lib/onnxruntime"}
    found = {"distributions": [installed("onnxruntime", "1.31.1", True), elsewhere], "has_pip": True}
    assert remedies.overwritten(found, PYTHON, is_own=False) == []
