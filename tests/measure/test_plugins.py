"""Plug-in providers, with an onnxruntime of our own making: no plug-in has a device on every machine."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from kdbench.errors import MeasureError
from kdbench.measure.runtimes import plugins

NAME = "FakeExecutionProvider"


class Runtime:
    """As much of onnxruntime as takes plug-ins."""

    __version__ = "1.31.1"

    def __init__(self, devices: list[str], broken: str = "") -> None:
        self.devices, self.broken = devices, broken
        self.registered: list[tuple[str, str]] = []

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if self.broken:
            raise RuntimeError(self.broken)
        self.registered.append((name, path))

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(ep_name=name) for name in self.devices]


class Options:
    """Session options that remember what they were given."""

    def __init__(self) -> None:
        self.added: list[tuple[list[str], dict[str, str]]] = []

    def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
        self.added.append(([device.ep_name for device in devices], options))


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module as onnxruntime's packaging guide has it."""
    module = ModuleType("onnxruntime_ep_fake")
    module.get_library_path = lambda: "/lib/fake.so"  # type: ignore[attr-defined]
    module.get_ep_name = lambda: NAME  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(plugins, "_registered", set())
    return module.__name__


def test_a_session_gets_every_device_of_the_plugins_provider_and_no_other(plugin: str) -> None:
    runtime, options = Runtime(["CPUExecutionProvider", NAME, NAME]), Options()
    assert plugins.add_to(options, plugin, {"a": "1"}, runtime) == NAME
    assert options.added == [([NAME, NAME], {"a": "1"})]


def test_a_library_is_registered_once_a_process(plugin: str) -> None:
    runtime = Runtime([NAME])
    for _ in range(2):
        plugins.add_to(Options(), plugin, {}, runtime)
    assert runtime.registered == [(NAME, "/lib/fake.so")]


def test_a_library_is_registered_by_its_providers_name_for_some_call_their_devices_as_they_are_registered(
    plugin: str,
) -> None:
    class Echoing(Runtime):
        def get_ep_devices(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(ep_name=name) for name, _ in self.registered]

    options = Options()
    assert plugins.add_to(options, plugin, {}, Echoing([])) == NAME
    assert options.added == [([NAME], {})]


@pytest.mark.parametrize(
    ("runtime", "sentence"),
    [
        (
            Runtime(["CPUExecutionProvider"]),
            "the plug-in onnxruntime_ep_fake offers FakeExecutionProvider on 0 devices here; it runs only where it "
            "finds its own hardware and driver.",
        ),
        (
            Runtime([NAME], broken="wrong API version 99\nmore"),
            "onnxruntime does not take the plug-in onnxruntime_ep_fake: wrong API version 99",
        ),
        (
            SimpleNamespace(__version__="1.19.2"),
            "onnxruntime 1.19.2 takes no plug-ins such as onnxruntime_ep_fake; install 1.22 or newer.",
        ),
    ],
)
def test_a_plugin_that_cannot_work_here_is_a_sentence(plugin: str, runtime: Any, sentence: str) -> None:
    options = Options()
    with pytest.raises(MeasureError) as caught:
        plugins.add_to(options, plugin, {}, runtime)
    assert str(caught.value) == sentence
    assert options.added == []


def test_a_package_that_is_missing_says_how_to_install_it() -> None:
    with pytest.raises(MeasureError, match=r"^there is no plug-in onnxruntime_ep_none .*`pip install onnxruntime-ep-n"):
        plugins.add_to(Options(), "onnxruntime_ep_none", {}, Runtime([NAME]))


def test_a_package_that_is_no_plugin_is_refused() -> None:
    with pytest.raises(MeasureError, match=r"^json is no plug-in of onnxruntime \(get_library_path"):
        plugins.add_to(Options(), "json", {}, Runtime([NAME]))


def test_installed_plugins_are_told_with_their_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = ("onnxruntime_extensions-0.14.0", "onnxruntime-1.31.1", "numpy-2.4.0")
    for name in ("onnxruntime_ep_webgpu-0.4.0", "onnxruntime_qnn-2.7.0", *others):
        (tmp_path / f"{name}.dist-info").mkdir()
    monkeypatch.setattr(plugins.sysconfig, "get_path", lambda _: str(tmp_path))
    assert plugins.installed() == ["onnxruntime_ep_webgpu-0.4.0", "onnxruntime_qnn-2.7.0"]
