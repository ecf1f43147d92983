"""The actions `diagnose` and `try`: what this interpreter has, and whether a provider really runs a tiny model in it.

`diagnose` needs neither numpy nor a runtime: that one of them is missing, broken or overwritten is what it tells.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure import actions
from kdbench.measure.jobs import File, Job
from kdbench.measure.runtimes import plugins, runtime_for
from kdbench.measure.runtimes.native_log import cause, overheard
from kdbench.measure.runtimes.tiny_model import TINY_SHAPE

WRITES = "onnxruntime/__init__.py"
"""Every distribution of onnxruntime installs this file; two of them in one place overwrite each other."""
IMPORT_ERRORS = (ImportError, OSError, AttributeError, RuntimeError, SyntaxError, SystemError, TypeError, ValueError)
"""Raised, as has been seen, by importing packages that are half overwritten or wrongly built."""


def diagnose() -> dict[str, Any]:
    """This interpreter: its version, its packages, the onnxruntime that is really there, what could be plugged in."""
    return {
        "refuses_pip": _refuses_pip(),
        "has_pip": importlib.util.find_spec("pip") is not None,
        "python_version": platform.python_version(),
        "numpy": _imported("numpy"),
        "distributions": _distributions(),
        "onnxruntime": _onnxruntime(),
        "plugins": [_plugin(name) for name in plugins.modules()],
    }


def try_session(job: Job) -> dict[str, Any]:
    """Run the tiny model as the job's session asks, and say which provider ran its kernels, or why none did.

    `said` is what the runtime wrote on standard error meanwhile, and `cause` the message in it that tells most: the
    runtime gives the name of a missing library there and nowhere else.
    """
    with tempfile.TemporaryDirectory() as folder, overheard() as said:
        entry = _proved(job, Path(folder))
    error = entry.pop("error", None)
    module = job.session.plugin
    asked = _plugin(module).get("provider", module) if module else job.session.provider_asked
    result: dict[str, Any] = {"provider_asked": asked, "devices": _devices(asked) if module else [], "said": said}
    if error is not None:
        return {**result, "works": False, "reason": error, "cause": cause(said)}
    kernels = entry["by_batch"]["1"]
    return {**result, **entry, **kernels, "works": asked in kernels["node_count_by_provider"]}


def _proved(job: Job, folder: Path) -> dict[str, Any]:
    """The tiny model's entry of the action `prove`."""
    import numpy

    runtime = runtime_for(job.session)
    path, inputs = folder / f"tiny.{runtime.artefact}", folder / "inputs.npz"
    runtime.write_tiny(path)
    count = int(numpy.prod(TINY_SHAPE))
    numpy.savez(inputs, x=numpy.linspace(-1, 1, count, dtype=numpy.float32).reshape(TINY_SHAPE))
    file = File(hashlib.sha256(path.read_bytes()).hexdigest(), str(path))
    try:
        proof = actions.prove(replace(job, files=(file,), inputs=str(inputs), batch_sizes=(1,)))
    except MeasureError as error:
        return {"error": str(error)}
    entry: dict[str, Any] = proof["files"][0]
    if "error" in entry:
        entry["error"] = entry["error"].replace(f"onnxruntime cannot load {path}: ", "").replace(str(path), "the model")
    return entry


def _refuses_pip() -> bool:
    """Whether this is a system's own Python, into which pip installs nothing (PEP 668), and no environment of it."""
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and marker.exists()


def _imported(name: str) -> dict[str, Any]:
    """A module's version and place, or the sentence that says why it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return {"missing": True, "error": f"no {name} is installed"}
        return {"error": f"{name} cannot be imported: {_first_line(error)}"}
    except IMPORT_ERRORS as error:
        return {"error": f"{name} cannot be imported: {_first_line(error)}"}
    version = getattr(module, "__version__", None)
    if version is None:
        return {"error": f"{name} is only an empty folder: what was in it is gone"}
    return {"version": str(version), "path": getattr(module, "__file__", None)}


def _onnxruntime() -> dict[str, Any]:
    """The onnxruntime imported here. Its `providers_available` was listed at compile time and proves nothing."""
    with overheard():
        found = _imported("onnxruntime")
    if "version" not in found:
        return found
    onnxruntime = importlib.import_module("onnxruntime")
    try:
        providers = onnxruntime.get_available_providers()
        tells = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")
    except AttributeError as error:
        return {"error": f"onnxruntime is not whole: {_first_line(error)}"}
    return {**found, "providers_available": providers, "tells_assignment": tells}


def _plugin(module_name: str) -> dict[str, Any]:
    """A plug-in package and the provider it brings, or why it does not say; its library is not loaded."""
    try:
        return {"module": module_name, "provider": str(importlib.import_module(module_name).get_ep_name())}
    except IMPORT_ERRORS as error:
        return {"module": module_name, "error": f"{module_name} does not name its provider: {_first_line(error)}"}


def _devices(provider: str) -> list[str]:
    """The devices that a plug-in's provider found, once its library is registered: "GPU, VENDOR" and the like."""
    ask = getattr(importlib.import_module("onnxruntime"), "get_ep_devices", None)
    found = [device for device in ask() if device.ep_name == provider] if ask else []
    return [f"{device.device.type.name}, {device.device.vendor or device.ep_vendor}" for device in found]


def _distributions() -> list[dict[str, Any]]:
    """Every installed distribution that writes onnxruntime: the files it left, and whether they still are its own."""
    records = [(found, found.read_text("RECORD") or "") for found in importlib.metadata.distributions()]
    writers = [(found, record) for found, record in records if f"\n{WRITES}," in f"\n{record}"]
    found = [_distribution(distribution, record, len(writers) == 1) for distribution, record in writers]
    return sorted(found, key=lambda entry: str(entry["name"]))


def _distribution(distribution: Any, record: str, is_alone: bool) -> dict[str, Any]:
    rows = [line.rsplit(",", 2) for line in record.splitlines() if line.startswith("onnxruntime/")]
    files = {row[0]: row[1] for row in rows if len(row) == 3 and not row[0].endswith(".pyc")}
    places = {name: Path(str(distribution.locate_file(name))) for name in files}
    compiled = [name for name in files if "pybind11_state" in name and not name.endswith(".pyi")]
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "folder": str(places[WRITES].parent),
        "file_count": len(files),
        "missing_file_count": sum(not place.exists() for place in places.values()),
        "compiled_is_its_own": is_alone or all(_has_hash(places[name], files[name]) for name in compiled),
    }


def _has_hash(path: Path, expected: str) -> bool:
    """Whether a file is the one that a RECORD names by `sha256=` and URL-safe base64 without padding (PEP 376, 427)."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return False
    return expected == f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
