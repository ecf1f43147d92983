"""Questions to interpreters and to this machine, asked once in a process of their own and cached."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import platformdirs

import kdbench
from kdbench.errors import MeasureError
from kdbench.files import write_whole
from kdbench.measure import process
from kdbench.measure.carried import declared, find_runtime
from kdbench.measure.client import Client
from kdbench.measure.provider import ONNXRUNTIME
from kdbench.measure.runtimes import plugins
from kdbench.timing.machine import Machine

CUDA_QUESTION = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
TORCH_QUESTION = """
import json, torch
found = {"cpu": ["cpu"]}
if torch.cuda.is_available():
    found["cuda"] = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
for kind in ("mps", "xpu"):
    backend = getattr(torch.backends if kind == "mps" else torch, kind, None)
    if backend is not None and backend.is_available():
        found[kind] = [kind]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": found}))
"""
VERSION_MARK = "python"
VERSION_QUESTION = f"import sys; print('{VERSION_MARK} %d.%d.%d' % sys.version_info[:3])"
"""In words that any Python understands."""
OLDEST_PYTHON = (3, 9)
"""Whose syntax the measuring program keeps to."""
VERSION_TIMEOUT_S, DIAGNOSIS_TIMEOUT_S, TRIAL_TIMEOUT_S = 20.0, 120.0, 300.0
"""Longer than they have been seen to take: a conda wrapper's start, an import from a cold disk, a TensorRT build."""
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "numpy", "torch")


def machine(
    interpreters: Iterable[str | None],
    others: Iterable[tuple[str | None, str, str | None]] = (),
    converters: Iterable[tuple[str | None, str, str | None]] = (),
) -> Machine:
    """The machine as a plan must know it. `interpreters`: those that measure with onnxruntime; None is this one.

    `others`: (interpreter, provider, runtime) of targets that run in another runtime than onnxruntime, which is None
    where it is kdbench's own; `converters`: the same of what makes files for such. Raises MeasureError where an
    interpreter cannot run the measuring program, or lacks a converter.
    """
    runtimes = {python: runtime(python) for python in dict.fromkeys(interpreters)}
    found = {
        (python, declared(name, provider).name): runtime(python, provider, name)
        for python, provider, name in dict.fromkeys(others)
    }
    making = {
        (python, declared(name, provider).name): converter(python, provider, name)
        for python, provider, name in dict.fromkeys(converters)
    }
    return Machine(training_device(), platform.machine(), runtimes, found, making)


def converter(python: str | None, provider: str, name: str | None = None) -> dict[str, str]:
    """Package -> version of what makes the files of a provider's runtime in an interpreter.

    `name`: a third party's runtime. Raises MeasureError with the remedy where it is not there.
    """
    asked = declared(name, provider).name
    session = {"provider": provider, **({"runtime": name} if name else {})}
    question = f"converter {asked} {find_runtime(name).carried.digest if name else ''}"
    found: dict[str, str] = _cached(question, python, lambda: _converter(python, session))
    return found


def training_device() -> str:
    """ "cuda" where torch can use one; torch is asked only on a machine with an NVIDIA driver."""
    if not Path("/proc/driver/nvidia/version").exists() and shutil.which("nvidia-smi") is None:
        return "cpu"
    return str(_cached("device", None, lambda: {"device": _asked_of_torch(CUDA_QUESTION)})["device"])


def runtime(python: str | None, provider: str = "cpu", name: str | None = None) -> dict[str, Any]:
    """The measuring program's description of the machine, and of the runtime in an interpreter that has a provider.

    `name`: a third party's runtime, registered or `file.py:Class`.
    """
    asked = declared(name, provider).name
    question = "runtime" if asked == ONNXRUNTIME else f"runtime {asked}"
    session = {"provider": provider, **({"runtime": name} if name else {})}
    question += f" {find_runtime(name).carried.digest}" if name else ""
    return _cached(question, python, lambda: _describe(python, session))


def diagnosis(python: str | None) -> dict[str, Any]:
    """An interpreter's packages, with numpy and a runtime or without. Asked afresh each time: an install may be new.

    Raises MeasureError where it is no Python that runs the measuring program.
    """
    _check_python(python or sys.executable)
    return _ask("diagnose", {}, python, DIAGNOSIS_TIMEOUT_S)


def trial(python: str | None, session: dict[str, Any]) -> dict[str, Any]:
    """Whether a session (a target's, or `{"provider": NAME}`) runs a tiny model in an interpreter, and what ran it.

    A process of its own: a provider that crashes takes no other answer with it. Raises MeasureError where it does.
    """
    return _ask("try", session, python, TRIAL_TIMEOUT_S)


def torch_devices() -> dict[str, Any]:
    """Version of torch here and the devices it can use, by kind. Raises MeasureError where it cannot be imported."""
    found: dict[str, Any] = json.loads(_asked_of_torch(TORCH_QUESTION))
    return found


def cache_folder() -> Path:
    """Where probes, and by default the stage store, are kept."""
    return Path(os.environ.get("KDBENCH_CACHE") or platformdirs.user_cache_dir("kdbench"))


def _describe(python: str | None, session: Mapping[str, Any]) -> dict[str, Any]:
    try:
        _check_python(python or sys.executable)
    except MeasureError as error:
        raise MeasureError(f"{str(error).rstrip('.')}; give the path of a Python with numpy and onnxruntime.") from None
    return _ask("describe", session, python, DIAGNOSIS_TIMEOUT_S)


def _converter(python: str | None, session: Mapping[str, Any]) -> dict[str, str]:
    _check_python(python or sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        return Client(Path(folder), session, python).converter(DIAGNOSIS_TIMEOUT_S)


def _ask(action: str, session: Mapping[str, Any], python: str | None, timeout_s: float | None = None) -> dict[str, Any]:
    """One job without files, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        return Client(Path(folder), session, python).ask(action, timeout_s=timeout_s)


def _check_python(python: str) -> None:
    """Raise MeasureError for a path that is no Python, or one too old for the measuring program."""
    answer = process.run([python, "-E", "-c", VERSION_QUESTION], VERSION_TIMEOUT_S)
    mark, _, version = (answer.out.splitlines() or [""])[-1].partition(" ")
    if answer.code or mark != VERSION_MARK:
        said = (answer.err.strip().splitlines() or ["asked for its version, it gave none"])[0].rstrip(".")
        raise MeasureError(f"{python} is no Python: {said}.")
    if tuple(map(int, version.split("."))) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise MeasureError(f"{python} is Python {version}; the measuring program needs {oldest} or newer.")


def _asked_of_torch(question: str) -> str:
    """The last line that a text of Python prints here. Raises MeasureError where torch cannot be imported."""
    answer = process.run([sys.executable, "-c", question], DIAGNOSIS_TIMEOUT_S)
    if answer.code:
        raise MeasureError(f"torch cannot be imported: {answer.last_line}.")
    return answer.out.splitlines()[-1]


def _cached(question: str, python: str | None, ask: Any) -> dict[str, Any]:
    """An answer, asked anew when the interpreter, a package, the driver, the system or kdbench changed."""
    name = hashlib.sha256(json.dumps([question, *_depends_on(python)]).encode()).hexdigest()[:24]
    path = cache_folder() / "probes" / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = ask()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, and no answer
            write_whole(path, json.dumps(found))
    return found


def _depends_on(python: str | None) -> list[Any]:
    interpreter = Path(shutil.which(python) or python).resolve() if python else Path(sys.executable)
    driver = Path("/proc/driver/nvidia/version")
    return [
        kdbench.__version__,
        str(interpreter),
        [*_packages(), *plugins.installed()] if python is None else _listing(Path(python)),
        driver.read_text(encoding="utf-8") if driver.exists() else "",
        platform.node(),
        platform.release(),
        os.cpu_count(),
        sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
    ]


def _packages() -> list[str]:
    found = []
    for name in RUNTIMES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _listing(python: Path) -> list[str]:
    """The installed distributions of another interpreter's environment, by the names of their folders."""
    return sorted(path.name for path in python.absolute().parent.parent.glob("lib/python*/site-packages/*.dist-info"))
