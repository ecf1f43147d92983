"""How long an ONNX file takes, alone or against another, under the suites' protocol: for users' own tests and programs.

It knows no suite, no store and no records.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench import stats
from kdbench.errors import MeasureError
from kdbench.timing.latency import MAX_RATIO, Latency, Ratio

__all__ = ["MAX_RATIO", "Latency", "Ratio", "time_onnx"]


def time_onnx(
    model: str | Path,
    scratch: Path,
    *,
    inputs: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    provider: str = "cpu",
    threads: int = 1,
    precision: str = "fp32",
    plugin: str = "",
    options: Mapping[str, str] | None = None,
    python: str | None = None,
    against: str | Path | None = None,
    max_ratio: float = MAX_RATIO,
    processes: int = stats.MIN_PROCESSES,
    calls: int = 1000,
    seconds: float = 0.4,
) -> Latency:
    """Time `model` in fresh processes; with `against`, both files in turns until the gate's rule has decided.

    `inputs`: arrays by input name, examples along their first axis; a call takes `batch_size` of them, all where it is
    left out. Without inputs, normal ones are drawn by the shapes in the file, for `batch_size` or the file's own, else
    1. `plugin`: the module of a package that brings the provider. `python`: another interpreter, with numpy and
    onnxruntime. Each process makes at least `calls` timed calls for at least `seconds`; `processes` is for a file
    alone, the gate's rule has its own number (3, then 7 more in doubt). `scratch` is an empty folder.
    Raises MeasureError for a number out of range, where a file does not load or run, and where the provider asked for
    did not run it; UnknownName for a provider nobody knows.
    """
    from kdbench.measure.client import Client
    from kdbench.timing._inputs import drawn, given
    from kdbench.timing._work import Work

    least = {"batch_size": batch_size, "threads": threads, "processes": processes, "calls": calls}
    for name, number in least.items():
        if number is not None and (not isinstance(number, int) or number < 1):
            raise MeasureError(f"{name} must be a whole number of at least 1, got {number!r}.")
    if seconds < 0 or max_ratio <= 1:
        wrong = f"seconds must be >= 0, got {seconds!r}" if seconds < 0 else f"max_ratio must be > 1, got {max_ratio!r}"
        raise MeasureError(f"{wrong}.")
    new, reference = _existing(model), None if against is None else _existing(against)
    ready = drawn(new, batch_size) if inputs is None else given(inputs, batch_size)
    session = {
        **{"provider": provider, "threads_intra": threads, "threads_inter": 1},
        **{"graph_optimization": "all", "precision": precision, "plugin": plugin, "options": dict(options or {})},
    }
    client = Client(scratch, session, python)
    work = Work(client, ready.saved(scratch), ready.batch_size, calls, seconds)
    return work.alone(new, processes) if reference is None else work.against(new, reference, max_ratio)


def _existing(path: str | Path) -> Path:
    """The absolute path. Raises MeasureError where there is no file."""
    found = Path(path).absolute()
    if not found.is_file():
        raise MeasureError(f"there is no file {path}; name an ONNX file.")
    return found
