"""What an interpreter and this machine can do, asked once in a process of its own and cached."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import platformdirs

import kdbench
from kdbench import measure
from kdbench.errors import MeasureError
from kdbench.plan import Machine

CUDA_QUESTION = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "numpy", "torch")


def machine(interpreters: Iterable[str | None]) -> Machine:
    """What the plan must know. `interpreters`: those that measure; None is this one.

    Raises MeasureError where one of them cannot run the measuring program.
    """
    runtimes = {python: runtime(python) for python in dict.fromkeys(interpreters)}
    return Machine(training_device(), platform.machine(), runtimes)


def training_device() -> str:
    """ "cuda" where torch can use one; torch is asked only on a machine with an NVIDIA driver."""
    if not Path("/proc/driver/nvidia/version").exists() and shutil.which("nvidia-smi") is None:
        return "cpu"
    return str(_cached("device", None, lambda: {"device": _ask_torch()})["device"])


def runtime(python: str | None) -> dict[str, Any]:
    """What the measuring program says of the machine and of the runtime in an interpreter."""
    return _cached("runtime", python, lambda: _describe(python))


def cache_folder() -> Path:
    """Where probes, and by default the stage store, are kept."""
    return Path(os.environ.get("KDBENCH_CACHE") or platformdirs.user_cache_dir("kdbench"))


def _describe(python: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        program = measure.pack(Path(folder) / "measure.pyz")
        job = {"schema": 1, "action": "describe"}
        return measure.run_job(job, Path(folder), program, python or sys.executable)


def _ask_torch() -> str:
    answer = subprocess.run([sys.executable, "-c", CUDA_QUESTION], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise MeasureError(f"torch cannot be imported: {answer.stderr.strip().splitlines()[-1]}")
    return answer.stdout.strip()


def _cached(question: str, python: str | None, ask: Any) -> dict[str, Any]:
    """An answer, asked anew when the interpreter, a package, the driver, the system or kdbench changed."""
    name = hashlib.sha256(json.dumps([question, *_depends_on(python)]).encode()).hexdigest()[:24]
    path = cache_folder() / "probes" / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        found = ask()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(found))
        partial.replace(path)
    return found


def _depends_on(python: str | None) -> list[Any]:
    interpreter = Path(shutil.which(python) or python).resolve() if python else Path(sys.executable)
    driver = Path("/proc/driver/nvidia/version")
    return [
        kdbench.__version__,
        str(interpreter),
        _packages() if python is None else _listing(Path(python)),
        driver.read_text() if driver.exists() else "",
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
