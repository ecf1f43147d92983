"""Energy counters of the machine (NVML, RAPL), read over calls. Knows no runtime, and estimates nothing.

NVML's counter is the whole GPU's, RAPL's the whole processor packages', idle power and neighbours included.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Protocol

from kdbench.errors import MeasureError
from kdbench.measure.clock import Clock, Rule, Runnable
from kdbench.measure.provider import NVML, RAPL
from kdbench.measure.providers import TABLE

POWERCAP = Path("/sys/class/powercap")
NVML_LIBRARY = "nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1"
UJ_PER_MJ = 1000
PACKAGE = "package-"
"""How the Linux kernel names the zone of a whole processor package (powercap documentation, intel-rapl)."""


class Counter(Protocol):
    """Something that counts energy upward."""

    name: str

    def read(self) -> tuple[int, ...]:
        """Microjoules since some moment, one a device. Raises MeasureError where it cannot be read."""
        ...

    def spent_uj(self, before: tuple[int, ...], after: tuple[int, ...]) -> int:
        """Microjoules between two readings, all devices together."""
        ...


class Rapl:
    """The processor packages of Linux's powercap. Raises MeasureError, saying why, where they cannot be read."""

    name = RAPL

    def __init__(self, root: Path) -> None:
        zones = [zone for zone in root.glob("*:*") if _text(zone / "name").startswith(PACKAGE)]
        zones.sort(key=lambda zone: -len(zone.name))  # of intel-rapl-mmio and intel-rapl, which show one package twice
        found = {_text(zone / "name"): zone for zone in zones}
        self._zones = [found[name] for name in sorted(found)]
        if not self._zones:
            raise MeasureError(f"no energy counter of the processor lies in {root} (virtual machines have none).")
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in self._zones]
        self.read()

    def read(self) -> tuple[int, ...]:
        return tuple(_number(zone / "energy_uj") for zone in self._zones)

    def spent_uj(self, before: tuple[int, ...], after: tuple[int, ...]) -> int:
        """A package's counter begins anew at its range, at most once between two readings (minutes at full power)."""
        steps = [(end - begin, most) for begin, end, most in zip(before, after, self._ranges)]
        return sum(step if step >= 0 else step + most for step, most in steps)


class Nvml:
    """The one GPU that is used, by NVIDIA's management library. Raises MeasureError, saying why, where it cannot be."""

    name = NVML

    def __init__(self, library: Any, device: str) -> None:
        """`library`: NVML, loaded; `device`: the index NVML gives the GPU, or its UUID."""
        self._library = library
        self._handle = ctypes.c_void_p()
        self._must(library.nvmlInit_v2(), "cannot be started")
        place = ctypes.byref(self._handle)
        if device.isdigit():
            code = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(device)), place)
        else:
            code = library.nvmlDeviceGetHandleByUUID(device.encode(), place)
        self._must(code, f"has no GPU {device}")
        self.read()

    def read(self) -> tuple[int, ...]:
        total = ctypes.c_ulonglong()
        code = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(total))
        self._must(code, "tells no energy of this GPU")
        return (total.value * UJ_PER_MJ,)

    def spent_uj(self, before: tuple[int, ...], after: tuple[int, ...]) -> int:
        return after[0] - before[0]

    def gpu_count(self) -> int:
        """How many GPUs the library sees."""
        count = ctypes.c_uint()
        self._must(self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)), "cannot count its GPUs")
        return count.value

    def _must(self, code: int, what: str) -> None:
        if code:
            raise MeasureError(f"NVIDIA's management library {what} (NVML error {code}).")


def counter(provider: str = "cpu") -> tuple[str | None, str]:
    """The name of the counter that tells a provider's energy on this machine and "", or None and why there is none."""
    try:
        return open_counter(provider).name, ""
    except MeasureError as error:
        return None, str(error)


def open_counter(provider: str, options: Mapping[str, str] | None = None) -> Counter:
    """The counter of what a provider runs on. Raises MeasureError with the reason where there is none to read."""
    name = TABLE[provider].counter if provider in TABLE else ""
    if not name:
        raise MeasureError(f"there is no energy counter that kdbench reads for provider {provider}.")
    if name == RAPL:
        return Rapl(POWERCAP)
    try:
        library = ctypes.CDLL(NVML_LIBRARY)
    except OSError:
        raise MeasureError(f"this machine has no NVIDIA driver: {NVML_LIBRARY} is not there.") from None
    return used_gpu(library, (options or {}).get("device_id", "0"), os.environ)


def used_gpu(library: Any, device_id: str, environment: Mapping[str, str]) -> Nvml:
    """The counter of the GPU that CUDA calls `device_id`.

    CUDA and NVML number several GPUs in different orders, unless told otherwise: then it is refused to guess.
    """
    visible = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    device = dict(zip(map(str, range(len(visible))), visible)).get(device_id, device_id)
    found = Nvml(library, device)
    ordered = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if device.isdigit() and not ordered and found.gpu_count() > 1:
        raise MeasureError(
            "of several GPUs it is not certain which one is used; set CUDA_DEVICE_ORDER=PCI_BUS_ID, or "
            "CUDA_VISIBLE_DEVICES to its UUID."
        )
    return found


def spend(
    bound: Runnable,
    source: Counter,
    rule: Rule,
    idle_ns: int,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Warm up, read the counter over `idle_ns` without calls, then over calls for at least `rule.min_ns`.

    Both counters step in milliseconds to a tenth of a second, so `min_ns` is seconds, not less.
    """
    _warm_up(bound, rule, clock)
    begin, before = clock(), source.read()
    sleep(idle_ns / 1e9)
    idle, idle_wall_ns = source.spent_uj(before, source.read()), clock() - begin
    calls = 0
    begin, before = clock(), source.read()
    while clock() - begin < rule.min_ns:
        bound.run(calls % bound.batch_count)
        calls += 1
    energy, wall_ns = source.spent_uj(before, source.read()), clock() - begin
    return {
        "call_count": calls,
        "energy_uj": energy,
        "wall_ns": wall_ns,
        "idle_energy_uj": idle,
        "idle_wall_ns": idle_wall_ns,
    }


def _warm_up(bound: Runnable, rule: Rule, clock: Clock) -> None:
    begin = clock()
    for call in range(rule.warmup_min_calls):
        bound.run(call % bound.batch_count)
        if clock() - begin >= rule.min_ns:
            return


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except PermissionError:
        raise MeasureError(f"only root may read {path}; let others: sudo chmod a+r {path}.") from None
    except (OSError, ValueError):
        raise MeasureError(f"{path} gives no number of microjoules.") from None
