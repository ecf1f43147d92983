"""The measuring program, `python measure.pyz JOB.json OUT_FOLDER`; code 2 and OUT_FOLDER/error.json for bad input."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Any, Callable

from kdbench.errors import KdbenchError
from kdbench.measure.actions import (
    convert,
    converter,
    describe,
    measure_energy,
    measure_memory,
    predict,
    prove,
    time_start,
)
from kdbench.measure.diagnosis import diagnose, try_session
from kdbench.measure.jobs import SCHEMA, Job, read_job
from kdbench.measure.program import BROUGHT
from kdbench.measure.runtimes import describe_runtime, runtime_for
from kdbench.measure.timing import time_files

FOREIGN_MODULES = ("matplotlib", "onnx", "pandas", "pydantic", "scipy", "torch")
"""Modules that a process which times must not load; its result names those that it did load."""

CONVERTING = ("converter", "convert")
"""Actions that need the converter of a runtime, and not the runtime."""
PARENT_IS_GONE = 3
BAD_INPUT = 2


def main(arguments: list[str]) -> int:
    """Do one job; returns the exit code."""
    if len(arguments) != 2:
        print("usage: python measure.pyz JOB.json OUT_FOLDER", file=sys.stderr)
        return BAD_INPUT
    out = Path(arguments[1])
    try:
        out.mkdir(parents=True, exist_ok=True)
        return _work(arguments[0], out)
    except OSError as error:
        print(f"cannot write to {error.filename or out} ({error.strerror}).", file=sys.stderr)
        return BAD_INPUT


def _work(job_path: str, out: Path) -> int:
    try:
        sys.path.append(os.path.join(sys.path[0], BROUGHT))  # last: it hides no module that is installed
        job = read_job(job_path)
        if job.exit_with_parent:
            _exit_with_parent()
        result = _result(job, out)
    except KdbenchError as error:
        return _refuse(out, str(error), None)
    _write(out / f"{job.action}.json", result)
    failed = [entry for entry in result.get("files", []) if "error" in entry]
    if failed and len(failed) == len(job.files):
        return _refuse(out, failed[0]["error"], failed[0]["digest"])
    return 0


def _result(job: Job, out: Path) -> dict[str, Any]:
    actions: dict[str, Callable[[], dict[str, Any]]] = {
        "describe": lambda: describe(job.session),
        "time": lambda: time_files(job),
        "prove": lambda: prove(job),
        "predict": lambda: predict(job, out),
        "memory": lambda: measure_memory(job),
        "start": lambda: time_start(job),
        "energy": lambda: measure_energy(job),
        "try": lambda: try_session(job),
    }
    if job.action == "diagnose":  # also where there is no runtime: that is what it tells
        return {"schema": SCHEMA, "action": job.action, **diagnose()}
    if job.action in CONVERTING:  # what runs the file need not be where it is converted, and nothing is timed
        made = converter(job.session) if job.action == "converter" else convert(job, out)
        return {"schema": SCHEMA, "action": job.action, **made}
    job.session.pin_environment()
    if job.action != "start":  # which times that itself
        describe_runtime(job.session)  # loaded before anything is timed, or found missing
    result = actions[job.action]()
    runtime = describe_runtime(job.session)
    loads = runtime_for(job.session).loads
    named = {name: runtime[name] for name in ("runtime", "runtime_version")}
    return {"schema": SCHEMA, "action": job.action, **named, **result, **_loaded(runtime, loads)}


def _loaded(runtime: dict[str, Any], loads: frozenset[str]) -> dict[str, Any]:
    """Versions of what computed the result, and what is loaded that should not be."""
    import numpy

    versions = {"python": platform.python_version(), "numpy": numpy.__version__}
    return {
        "versions": {**versions, runtime["runtime"]: runtime["runtime_version"]},
        "modules": [name for name in FOREIGN_MODULES if name in sys.modules and name not in loads],
    }


def _refuse(out: Path, sentence: str, digest: str | None) -> int:
    print(sentence, file=sys.stderr)
    _write(out / "error.json", {"error": sentence, "digest": digest})
    return BAD_INPUT


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, allow_nan=False), encoding="utf-8")


def _exit_with_parent() -> None:
    """End this process when its standard input does: a killed parent leaves nobody timing."""

    def wait() -> None:
        while os.read(0, 4096):  # sys.stdin has a lock that an exiting interpreter trips over
            pass
        os._exit(PARENT_IS_GONE)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
