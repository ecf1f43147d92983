"""The measuring program (standard library, numpy, a runtime), and how a process of it is packed and started."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.files import write_archive
from kdbench.measure.providers import TORCH, runtime_of

ENTRY = "import sys\n\nfrom kdbench.measure.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
"""The zipapp's __main__.py."""


def pack(path: Path, provider: str = "cpu") -> Path:
    """Write the program as one file that any Python >= 3.9 with numpy and a provider's runtime runs.

    Always the same bytes.
    """
    texts = {**sources(provider), "__main__.py": ENTRY.encode()}
    return write_archive(path, texts)


def sources(provider: str = "cpu") -> dict[str, bytes]:
    """The program's modules, by their place in an archive; torch's session is among them for its providers only."""
    package = Path(__file__).resolve().parent.parent
    torchs = package / "measure" / "runtimes" / "torch.py"
    program = [path for path in (package / "measure").rglob("*.py") if path != torchs or runtime_of(provider) == TORCH]
    paths = [*(package / name for name in ("__init__.py", "errors.py", "files.py")), *program]
    return {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in paths}


def run_job(
    job: dict[str, Any], out: Path, program: Path, python: str = sys.executable, timeout_s: float | None = None
) -> dict[str, Any]:
    """Run one job in a fresh process of the packed `program`; returns what it wrote to `out`, a folder.

    Blocks until the process ends, and the process ends when this one does. Raises MeasureError with the program's own
    sentence, with the signal and the last line of a process that died, or where it took longer than `timeout_s`.
    """
    out.mkdir(parents=True, exist_ok=True)
    refusal, answer = out / "error.json", out / f"{job['action']}.json"
    for earlier in (refusal, answer):
        earlier.unlink(missing_ok=True)
    request = out / "job.json"
    request.write_text(json.dumps({**job, "exit_with_parent": True}), encoding="utf-8")
    code, last_line = _run([python, "-E", str(program), str(request), str(out)], timeout_s)
    if code == 0 and answer.exists():
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return result
    if refusal.exists():
        raise MeasureError(json.loads(refusal.read_text(encoding="utf-8"))["error"])
    raise MeasureError(f"the measuring process {_ending(code)}: {last_line or 'it said nothing'}.")


def _run(command: list[str], timeout_s: float | None) -> tuple[int, str]:
    """Exit code and last line of stderr; standard input stays open as the sign that this process lives.

    `-E`: a PYTHONPATH meant for this interpreter would give another one the wrong packages.
    """
    with tempfile.TemporaryFile() as said:  # no pipe: a child that outlives a killed process would hold it open
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        except OSError as error:
            raise MeasureError(f"cannot start {command[0]} ({error.strerror}).") from None
        with process:
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise MeasureError(f"the measuring process took longer than {timeout_s:g} s, and was ended.") from None
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
        return code, lines[-1].strip() if lines else ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was killed by {signal.Signals(-code).name}"
