"""The machine: what must agree before numbers are pooled, who used the processor, peak memory; it knows no model."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError

CPU_FLAGS = frozenset(
    {
        *("avx2", "avx512f", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
        *("amx_bf16", "amx_int8", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
    }
)
"""Instruction sets that decide which kernels run; a virtual machine's processor name hides them."""

PRECISION_VARIABLES = ("NVIDIA_TF32_OVERRIDE",)
"""Environment variables that change the arithmetic."""


def fingerprint(facts: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the facts in canonical JSON."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def facts(runtime: dict[str, Any]) -> dict[str, Any]:
    """Facts that must agree before numbers are pooled or gated; `runtime` is what `Runtime.describe` gives."""
    found = {
        "cpu": cpu_name(),
        "cpu_flags": cpu_flags(),
        "physical_core_count": physical_core_count(),
        "logical_core_count": os.cpu_count(),
        "os": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "architecture": platform.machine(),
        "runtime": runtime["runtime"],
        "runtime_version": runtime["runtime_version"],
        "runtime_build": runtime["build_info"],
        "precision_flags": {name: os.environ[name] for name in PRECISION_VARIABLES if name in os.environ},
    }
    gpus = nvidia_gpus()
    return {**found, "gpus": gpus} if gpus else found


def also() -> dict[str, Any]:
    """Further facts, which may differ between runs that are pooled; those this system does not tell are left out."""
    import numpy

    found = {
        "hostname_digest": hashlib.sha256(platform.node().encode()).hexdigest()[:16],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "ram_bytes": _ram_bytes(),
        "python_version": platform.python_version(),
        "numpy_version": numpy.__version__,
        "omp_variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith("OMP_")},
    }
    return {name: value for name, value in found.items() if value is not None}


def cpu_name() -> str:
    """The processor as its maker or board calls it; the architecture where nobody says."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    named = _cpuinfo("model name") or (_read("/proc/device-tree/model") or "").strip("\0")
    return named or platform.processor() or platform.machine()


def physical_core_count() -> int | None:
    """Cores without their sibling threads, or None where this system does not tell."""
    if sys.platform == "darwin":
        return int(_output("sysctl", "-n", "hw.physicalcpu") or 0) or None
    siblings = {_read(path) for path in glob.glob("/sys/devices/system/cpu/cpu*/topology/thread_siblings_list")}
    return len(siblings) or None


def peak_rss_bytes() -> int:
    """The largest resident memory of this process since it began, or since `reset_peak_rss`."""
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        raise MeasureError(f"{platform.system()} does not tell a process its peak memory.") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere: getrusage(2)


def reset_peak_rss() -> None:
    """Let the peak begin anew from what is resident now, where the system allows it (Linux, proc(5): clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


class Gauge:
    """Who used the processors between its making and `read()`."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self._begin = _Instant()

    def read(self) -> dict[str, Any]:
        """The readings since this gauge was made; those that the system does not tell are left out.

        `load_average` is the one-minute load at the beginning. `other_cpu_fraction` and `steal_fraction` are shares of
        the machine's processor time: taken by other processes, withheld by the machine's host. `own_cpu_fraction` is
        this process's processor time over wall time: 1 is one thread never interrupted. `affinity` lists its cores.
        """
        end, cores = _Instant(), os.cpu_count() or 1
        wall_s = max(end.wall_s - self._begin.wall_s, 1e-9)
        own_s = end.own_s - self._begin.own_s
        found: dict[str, Any] = {"own_cpu_fraction": own_s / wall_s}
        if self._load is not None:
            found["load_average"] = self._load
        if hasattr(os, "sched_getaffinity"):
            found["affinity"] = sorted(os.sched_getaffinity(0))
        if self._begin.machine and end.machine:
            busy_s, steal_s = (after - before for before, after in zip(self._begin.machine, end.machine))
            found["other_cpu_fraction"] = _share(busy_s - own_s, wall_s * cores)
            found["steal_fraction"] = _share(steal_s, wall_s * cores)
        return found


class _Instant:
    """Processor times at one moment, in seconds."""

    def __init__(self) -> None:
        self.wall_s = time.perf_counter()
        self.own_s = time.process_time() + _descendants_seconds()
        self.machine = _machine_seconds()


def _machine_seconds() -> tuple[float, float] | None:
    """(busy, stolen) seconds of all cores since boot, from the first line of /proc/stat: proc(5)."""
    line = (_read("/proc/stat") or "").partition("\n")[0].split()[1:9]
    if len(line) < 8:
        return None
    user, nice, system, _, _, irq, softirq, steal = (int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in line)
    return user + nice + system + irq + softirq, steal


def _descendants_seconds() -> float:
    """Processor seconds of the processes that this one started and that still run: a browser is its own work.

    From fields 4, 14 and 15 of /proc/PID/stat: proc(5). 0 where the system has none.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = (_read(f"{folder}/stat") or "").rpartition(")")[2].split()
        if len(fields) > 12:
            parents[int(folder.name)], ticks[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    total, found = 0, {os.getpid()}
    while found:
        found = {process for process, parent in parents.items() if parent in found}
        total += sum(ticks[process] for process in found)
    return total / os.sysconf("SC_CLK_TCK") if total else 0.0


def _share(seconds: float, whole: float) -> float:
    """A fraction from two clocks of different grain: /proc/stat counts in hundredths of a second."""
    return min(max(seconds / whole, 0.0), 1.0)


def _cpuinfo(key: str) -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def cpu_flags() -> list[str]:
    flags = _cpuinfo("flags") or _cpuinfo("Features") or ""
    return sorted(CPU_FLAGS.intersection(flags.split()))


def nvidia_gpus() -> list[str]:
    """One "name, driver version" a GPU; none without an NVIDIA driver."""
    if shutil.which("nvidia-smi") is None:
        driver = _read("/proc/driver/nvidia/version")
        return [driver.partition("\n")[0]] if driver else []
    listed = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or ""
    return sorted(line.strip() for line in listed.splitlines() if line.strip())


def _ram_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
