"""This machine: processor, who else uses it now, energy counters, peak memory. Knows no interpreter."""

import os
import platform
import time
from pathlib import Path

from kdbench import stats
from kdbench.doctor.findings import Counter, Machine, Trouble
from kdbench.errors import MeasureError
from kdbench.measure import energy, host

WATCH_S = 0.6
"""How long other work is watched: 60 of the system's ticks on each core."""
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Instructions that multiply and sum 8-bit integers at once: x86's VNNI and AMX, Arm's dot product and i8mm."""
PROBE_BYTES = 32 * 2**20
CGROUP = Path("/sys/fs/cgroup")


def this_machine() -> Machine:
    """This machine and what it is busy with; takes WATCH_S seconds, in which nothing else should be started."""
    gauge = host.Gauge()
    time.sleep(WATCH_S)
    seen = gauge.read()
    cores = os.cpu_count() or 1
    other = seen.get("other_cpu_fraction")
    also, flags = host.also(), host.cpu_flags()
    usable, quota = len(seen.get("affinity", range(cores))), _quota_cores(CGROUP)
    steal = seen.get("steal_fraction")
    peak_memory, resets = _peak_memory()
    return Machine(
        cpu=host.cpu_name(),
        architecture=platform.machine(),
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        physical_core_count=host.physical_core_count(),
        logical_core_count=cores,
        usable_core_count=usable,
        quota_cores=quota,
        ram_bytes=also.get("ram_bytes"),
        cpu_flags=tuple(flags),
        int8_flags=tuple(flag for flag in flags if flag in INT8_FLAGS),
        governor=also.get("governor"),
        gpus=tuple(host.nvidia_gpus()),
        load_average=seen.get("load_average"),
        other_cores=None if other is None else other * cores,
        steal_fraction=steal,
        energy=tuple(_counter(name, provider) for name, provider in (("NVML", "cuda"), ("RAPL", "cpu"))),
        peak_memory=peak_memory,
        resets_peak_memory=resets,
        troubles=tuple(_troubles(other, cores, usable, quota, steal, also.get("governor"))),
    )


def _troubles(
    other: float | None, cores: int, usable: int, quota: float | None, steal: float | None, governor: str | None
) -> list[Trouble]:
    """Sentences on what would mark or spoil times that are measured now."""
    found = []
    if other is not None and other > stats.MAX_OTHER_FRACTION:
        found.append(
            f"other work uses {other * cores:.1f} of {cores} cores: times measured now will be marked "
            f"'{stats.CONTENDED}'; wait, or stop it."
        )
    if steal is not None and steal > stats.MAX_STEAL_FRACTION:
        found.append(
            f"the host of this virtual machine withholds {steal:.0%} of the processor time: times measured now will "
            f"be marked '{stats.STOLEN}'."
        )
    if quota is not None and quota < usable:
        found.append(
            f"this container may use {quota:g} of {usable} cores (cgroup), which onnxruntime does not heed: more "
            f"threads than that are stopped and go on later; keep a target's threads at {max(1, int(quota))} or less."
        )
    mended = [Trouble(text) for text in found]
    if governor == "powersave":
        text = "the processor's governor is 'powersave': its clock follows the load, and so do times."
        mended.append(Trouble(text, ("sudo cpupower frequency-set --governor performance",)))
    return mended


def _counter(name: str, provider: str) -> Counter:
    found, reason = energy.counter(provider)
    return Counter(name, "absent" if found is None else "present", reason)


def _peak_memory() -> tuple[str | None, bool]:
    """(why it cannot be measured or None, whether it can begin anew), tried on some memory that is taken and freed."""
    try:
        before = host.peak_rss_bytes()
        taken = b"\1" * PROBE_BYTES
        high = host.peak_rss_bytes()
        del taken
        host.reset_peak_rss()
        after = host.peak_rss_bytes()
    except MeasureError as error:
        return str(error), False
    if high <= 0:
        return "the system shows a peak of nothing.", False
    return None, after < max(before, high)


def _quota_cores(root: Path) -> float | None:
    """Cores that a container may use, from cgroup 2's cpu.max or cgroup 1's cpu.cfs_quota_us; None without a limit."""
    try:
        quota, period = (root / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (root / "cpu" / name).read_text(encoding="utf-8").strip()
                for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        except OSError:
            return None
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None
