"""The commands that install what is missing: which package brings a provider, into which environment."""

import platform
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from kdbench.doctor.findings import Trouble
from kdbench.measure.providers import runtime_of

PLAIN, PLAIN_PROVIDER = "onnxruntime", "cpu"
"""The distribution that kdbench depends on, and the provider that every other one has too."""
LINUX, WINDOWS, MAC = "Linux", "Windows", "Darwin"
PACKAGES: dict[str, dict[str, str]] = {
    "cpu": dict.fromkeys((LINUX, WINDOWS, MAC), PLAIN),
    "cuda": dict.fromkeys((LINUX, WINDOWS), "onnxruntime-gpu[cuda,cudnn]"),
    "tensorrt": dict.fromkeys((LINUX, WINDOWS), "onnxruntime-gpu[cuda,cudnn]"),
    "openvino": dict.fromkeys((LINUX, WINDOWS), "onnxruntime-openvino"),
    "coreml": {MAC: PLAIN},
    "directml": {WINDOWS: "onnxruntime-directml"},
    "migraphx": {LINUX: "onnxruntime-migraphx"},
}
"""Provider -> system -> the distribution on PyPI that has it compiled in. No other provider has one."""
PLUGINS: dict[str, dict[str, str]] = {
    "webgpu": dict.fromkeys((LINUX, WINDOWS, MAC), "onnxruntime-ep-webgpu"),
    "qnn": dict.fromkeys((LINUX, WINDOWS), "onnxruntime-qnn"),
    "tensorrt_rtx": dict.fromkeys((LINUX, WINDOWS), "onnxruntime-ep-nv-tensorrt-rtx"),
}
"""Provider -> system -> the package that brings it beside any onnxruntime, where none has it compiled in."""
TENSORRT = "tensorrt-cu13<11"
"""onnxruntime-gpu links TensorRT 10 and CUDA 13 (read from the wheel of 1.31.1); plain `tensorrt` would bring 11."""
LIBRARIES = {"openvino": ("openvino",), "litert": ("ai-edge-litert",), "executorch": ("torch", "executorch")}
"""Runtime -> the packages that it needs beside numpy, its own last."""
NEEDS_NVIDIA = frozenset({"cuda", "tensorrt", "tensorrt_rtx"})


def install(found: Mapping[str, Any], path: str, *packages: str) -> tuple[str, ...]:
    """The commands that install packages into an interpreter; `found` is what `probe.diagnosis` said of it."""
    pip = f"{shlex.quote(path)} -m pip install {' '.join(map(shlex.quote, packages))}"
    return (pip,) if found.get("has_pip", True) else (f"{shlex.quote(path)} -m ensurepip", pip)


def library(session: Mapping[str, Any], reason: str, found: Mapping[str, Any], path: str) -> Trouble | None:
    """How to get the library of a runtime that a session names, where the reason is that it is not there."""
    packages = LIBRARIES.get(session.get("runtime") or runtime_of(session["provider"]), ())
    if not any(f"has no {package};" in reason for package in packages):
        return None
    return Trouble("install it", install(found, path, "numpy", *packages))


def own_environment(provider: str) -> Trouble | None:
    """How to get a provider beside what is installed: an environment of its own, which a suite's `python` names.

    None where no package has it for this system.
    """
    package = package_of(provider)
    if package is None:
        return None
    folder = f"~/.venvs/{provider}"
    text = f"install it into an environment of its own, and give the suite's measure entry `python: {_python(folder)}`"
    return Trouble(text, _make_environment(folder, package))


def new_environment(path: str, provider: str) -> Trouble | None:
    """How to make an interpreter that a suite names and that is not there; None where the path names no interpreter."""
    package = PACKAGES.get(provider, PACKAGES["cpu"]).get(platform.system(), PLAIN)
    folder = PurePath(path).parent
    if folder.name not in ("bin", "Scripts") or not re.match(r"python[\d.]*(\.exe)?$", PurePath(path).name):
        return None
    return Trouble("make that environment", _make_environment(str(folder.parent), package))


def _make_environment(folder: str, package: str) -> tuple[str, ...]:
    return (
        f"{shlex.quote(sys.executable)} -m venv {_quoted(folder)}",
        f"{_quoted(_python(folder))} -m pip install numpy {shlex.quote(package)}",
    )


def _python(folder: str) -> str:
    return f"{folder}/{'Scripts' if platform.system() == WINDOWS else 'bin'}/python"


def _quoted(path: str) -> str:
    """For a shell, which is to expand a leading ~."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def provider_remedy(
    provider: str, found: Mapping[str, Any], path: str, is_own: bool, gpus: tuple[str, ...]
) -> Trouble | None:
    """How to get a provider that an interpreter does not run; None where nothing that can be installed gives it."""
    if provider in NEEDS_NVIDIA and not gpus:
        return Trouble(
            "this machine has no NVIDIA GPU with a driver; carry the files to one that has: `kdbench bundle`"
        )
    if provider in PLUGINS:
        return plugged_in(provider, found, path) or _no_package(provider)
    package = package_of(provider)
    if package is None:
        return _no_package(provider)
    installed = [entry["name"] for entry in found.get("distributions", [])]
    if distribution(package) in installed:
        if provider not in NEEDS_NVIDIA:
            return None  # it is whole, as `overwritten` would have told, and only the runtime's words say what it lacks
        extra = (TENSORRT,) if provider == "tensorrt" else ()
        return Trouble("install the libraries it needs", install(found, path, package, *extra))
    if installed or is_own:  # a second one would overwrite what is there
        return own_environment(provider)
    return Trouble("install it", install(found, path, "numpy", package))


def plugged_in(provider: str, found: Mapping[str, Any], path: str) -> Trouble | None:
    """How an interpreter gets the plug-in of a provider; None where this system has none."""
    package = PLUGINS[provider].get(platform.system())
    if package is None:
        return None
    text = f"install its plug-in, and give the suite's measure entry `plugin: {package.replace('-', '_')}`"
    return Trouble(text, install(found, path, package))


def _no_package(provider: str) -> Trouble:
    return Trouble(f"no package brings {provider} to {platform.system()}; it takes an onnxruntime built with it")


def package_of(provider: str) -> str | None:
    """The package to install for a provider on this system; None where nothing brings it."""
    return PACKAGES.get(provider, {}).get(platform.system())


def distribution(package: str) -> str:
    """A package without its extras."""
    return package.partition("[")[0]


def overwritten(found: Mapping[str, Any], path: str, is_own: bool) -> list[Trouble]:
    """The trouble of two onnxruntime distributions in one place, and of one that lost files when another went.

    All of them write the package `onnxruntime`; pip neither warns nor notices.
    """
    by_folder: dict[str, list[Mapping[str, Any]]] = {}
    for entry in found.get("distributions", []):
        by_folder.setdefault(entry["folder"], []).append(entry)
    troubles = []
    for folder, entries in by_folder.items():
        if len(entries) > 1:
            troubles.append(_several(entries, folder, found, path, is_own))
        elif entries[0]["missing_file_count"]:
            troubles.append(_damaged(entries[0], path))
    return troubles


def _several(
    entries: list[Mapping[str, Any]], folder: str, found: Mapping[str, Any], path: str, is_own: bool
) -> Trouble:
    names = [_named(entry) for entry in entries]
    there = [_named(entry) for entry in entries if entry["compiled_is_its_own"] and not entry["missing_file_count"]]
    what = f"what is really there is {there[0]}" if len(there) == 1 else "what is there is whole of none of them"
    text = f"{path} has {' and '.join(names)}, which overwrite each other in {folder}; {what}. Keep one"
    keep = _kept(entries, is_own)
    others = [entry for entry in entries if entry is not keep]
    quoted = shlex.quote(path)
    commands = [
        f"{quoted} -m pip uninstall -y {' '.join(entry['name'] for entry in entries)}",
        *install(found, path, f"{keep['name']}=={keep['version']}"),
    ]
    providers = {distribution(package): name for name, systems in PACKAGES.items() for package in systems.values()} | {
        PLAIN: "cpu",
        "onnxruntime-gpu": "cuda",
    }
    for entry in others:
        name = entry["name"]
        if not (name == PLAIN and not is_own):  # the others run on the CPU too
            commands += _make_environment(f"~/.venvs/{providers.get(name, name)}", f"{name}=={entry['version']}")
    return Trouble(text, tuple(commands))


def _kept(entries: list[Mapping[str, Any]], is_own: bool) -> Mapping[str, Any]:
    """kdbench's own environment keeps the plain one, which kdbench depends on; any other the one that can do more."""
    plain = [entry for entry in entries if entry["name"] == PLAIN]
    special = [entry for entry in entries if entry["name"] != PLAIN]
    return (plain or special)[0] if is_own else (special or plain)[0]


def _damaged(entry: Mapping[str, Any], path: str) -> Trouble:
    missing, count = entry["missing_file_count"], entry["file_count"]
    text = (
        f"{path} has {_named(entry)}, of whose {count} files {missing} are gone, as after another onnxruntime "
        "distribution was uninstalled; install it again"
    )
    package = f"{entry['name']}=={entry['version']}"
    return Trouble(text, (f"{shlex.quote(path)} -m pip install --force-reinstall --no-deps {package}",))


def _named(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']} {entry['version']}"


def missing_file(path: str) -> bool:
    """Whether a path leads nowhere, as opposed to a command's name or a file that is no Python."""
    return any(mark in path for mark in "/\\") and not Path(path).exists()
