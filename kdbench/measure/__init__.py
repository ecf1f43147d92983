"""The measuring program (standard library, numpy, a runtime), and how a process of it is packed and started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError

ENTRY = "import sys\n\nfrom kdbench.measure.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
"""The zipapp's __main__.py."""


def pack(path: Path) -> Path:
    """Write the program as one file that any Python >= 3.9 with numpy and onnxruntime runs; always the same bytes."""
    package = Path(__file__).resolve().parent.parent
    sources = [package / "__init__.py", package / "errors.py", *(package / "measure").glob("*.py")]
    texts = {source.relative_to(package.parent).as_posix(): source.read_bytes() for source in sources}
    texts["__main__.py"] = ENTRY.encode()
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name in sorted(texts):
            archive.writestr(zipfile.ZipInfo(name), texts[name])  # ZipInfo's default date is a constant, 1980
    os.replace(unfinished, path)
    return path


def run_job(job: dict[str, Any], out: Path, program: Path, python: str = sys.executable) -> dict[str, Any]:
    """Run one job in a fresh process of the packed `program`; returns what it wrote to `out`, a folder.

    Blocks until the process ends, and the process ends when this one does. Raises MeasureError with the program's own
    sentence, or with the signal and the last line of a process that died.
    """
    out.mkdir(parents=True, exist_ok=True)
    refusal = out / "error.json"
    refusal.unlink(missing_ok=True)
    request = out / "job.json"
    request.write_text(json.dumps({**job, "exit_with_parent": True}), encoding="utf-8")
    code, last_line = _run([python, "-E", str(program), str(request), str(out)])
    if code == 0:
        result: dict[str, Any] = json.loads((out / f"{job['action']}.json").read_text(encoding="utf-8"))
        return result
    if refusal.exists():
        raise MeasureError(json.loads(refusal.read_text(encoding="utf-8"))["error"])
    raise MeasureError(f"the measuring process {_ending(code)}: {last_line or 'it said nothing'}.")


def _run(command: list[str]) -> tuple[int, str]:
    """Exit code and last line of stderr; standard input stays open as the sign that this process lives.

    `-E`: a PYTHONPATH meant for this interpreter would give another one the wrong packages.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise MeasureError(f"cannot start {command[0]} ({error.strerror}).") from None
    with process:
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
        return process.wait(), lines[-1].strip() if lines else ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was killed by {signal.Signals(-code).name}"
