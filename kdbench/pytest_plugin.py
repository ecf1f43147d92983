"""The pytest fixture `onnx_latency`: it times ONNX files in a user's own tests, and shows them in pytest-benchmark.

Modules that take time to import are imported when a test times its first file.
"""

import copy
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kdbench.timing import Latency

FIXTURE = "onnx_latency"
TOLD = ("p50_ns", "p90_ns", "p99_ns", "providers_got", "effective_precision", "runtime", "warnings")
"""Fields of a latency that stand in `extra_info`."""
IS_ITS_OWN = pytest.StashKey[bool]()
"""Whether a test asks for pytest-benchmark's `benchmark` itself."""


class Replay:
    """A timer for pytest-benchmark that reads out what was timed before; with nothing left to read, it is `clock`."""

    __name__ = FIXTURE

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._readings: list[float] = []

    def load(self, samples_ns: Sequence[int]) -> None:
        """Let each two of the coming readings lie one sample apart, in seconds."""
        self._readings = [reading for sample in reversed(samples_ns) for reading in (sample / 1e9, 0.0)]

    def __call__(self) -> float:
        return self._readings.pop() if self._readings else self._clock()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where pytest-benchmark is at hand, a test that times ONNX files is one of its benchmarks, with our timer."""
    names: list[str] = getattr(item, "fixturenames", [])
    manager = item.config.pluginmanager
    if FIXTURE not in names or not (manager.hasplugin("benchmark") or manager.hasplugin("pytest_benchmark.plugin")):
        return
    marker = item.get_closest_marker("benchmark")
    options = dict(marker.kwargs) if marker else {}
    options["timer"] = Replay(options.get("timer", time.perf_counter))
    item.add_marker(pytest.mark.benchmark(**options), append=False)
    item.stash[IS_ITS_OWN] = "benchmark" in names
    vars(item)["fixturenames"] = list(dict.fromkeys([*names, "benchmark"]))  # the list itself is shared by parameters


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Where a test compares a ratio's verdict, say the ratio, too."""
    module = sys.modules.get("kdbench.timing.latency")  # where nobody has imported it, there is no verdict
    found = next((side for side in (left, right) if module and isinstance(side, module.Verdict)), None)
    return None if found is None else [f"{left!r} {op} {right!r}", found.said]


@pytest.fixture
def onnx_latency(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., "Latency"]:
    """Times an ONNX file in fresh processes: onnx_latency("model.onnx", batch_size=1, provider="cpu", threads=1).

    With against="old.onnx", its `ratio` tells how much slower it is than that file, measured in turns. All arguments
    stand at kdbench.timing.time_onnx, what it returns at kdbench.timing.Latency.
    """
    from kdbench.timing import time_onnx

    shown = _Shown(request) if IS_ITS_OWN in request.node.stash else None

    def timed(model: str | Path, **options: Any) -> "Latency":
        latency = time_onnx(model, tmp_path_factory.mktemp(FIXTURE), **options)
        if shown is not None:
            shown.add(latency)
        return latency

    return timed


class _Shown:
    """A test's benchmarks: its `benchmark` fixture for the first file, unless the test uses it itself; then copies."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        benchmark = request.getfixturevalue("benchmark")
        self._timer: Replay = request.node.get_closest_marker("benchmark").kwargs["timer"]
        self._unused = copy.copy(benchmark)
        self._next = None if request.node.stash[IS_ITS_OWN] else benchmark
        self._count = 0

    def add(self, latency: "Latency") -> None:
        """Let pytest-benchmark take each call for one of its rounds."""
        samples = [sample for process in latency.samples_ns for sample in process]
        benchmark, self._next = self._next or self._another(), None
        self._count += 1
        benchmark.group = benchmark.group or latency.setting
        benchmark.extra_info.update(_extra(latency))
        self._timer.load(samples)
        benchmark.pedantic(lambda: None, rounds=len(samples))
        self._timer.load(())

    def _another(self) -> Any:
        """A benchmark with a name of its own: files are compared by name."""
        other = copy.copy(self._unused)
        other.extra_info = {}
        other.name, other.fullname = (f"{name} ({self._count + 1})" for name in (other.name, other.fullname))
        return other


def _extra(latency: "Latency") -> dict[str, Any]:
    """Facts that pytest-benchmark's own columns do not have."""
    found = {
        "model": Path(latency.model).name,
        "process_count": len(latency.samples_ns),
        **{name: getattr(latency, name) for name in TOLD},
    }
    if latency.ratio is not None:
        ratio = latency.ratio
        names = ("value", "low", "high", "verdict", "max_ratio")
        found |= {f"ratio_{name}": getattr(ratio, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
