"""Energy counters that a test turns: RAPL's files in a folder of its own, NVML as an object, a clock of the calls."""

import ctypes
from pathlib import Path
from typing import Any

import pytest
from tiny_models import FileOf, gemm_net

from kdbench.errors import MeasureError
from kdbench.measure import energy
from kdbench.measure.client import run_job
from kdbench.measure.clock import Rule

RANGE = 262_143_328_850


def zone(root: Path, place: str, name: str, energy_uj: int) -> Path:
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_rapl_counts_every_package_once_and_no_part_of_one(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 1000)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 5)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 2000)
    zone(tmp_path, "intel-rapl:2", "psys", 7)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1)  # the same package by another driver
    counter = energy.Rapl(tmp_path)
    before = counter.read()
    for file, value in ((first, 1500), (core, 400), (second, 2030)):
        file.write_text(str(value))
    assert counter.spent_uj(before, counter.read()) == 500 + 30


def test_a_package_whose_counter_began_anew_is_counted_on(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", RANGE - 100)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 50)
    counter = energy.Rapl(tmp_path)
    before = counter.read()
    first.write_text("900")
    second.write_text("80")
    assert counter.spent_uj(before, counter.read()) == 100 + 900 + 30


def test_no_counter_is_said_and_never_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    name, reason = energy.counter("cpu")
    assert name is None
    assert reason == f"no energy counter of the processor lies in {tmp_path} (virtual machines have none)."
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    assert energy.counter("cpu") == ("rapl", "")
    assert energy.counter("openvino") == ("rapl", "")
    assert energy.counter("qnn") == (None, "there is no energy counter that kdbench reads for provider qnn.")


def test_a_counter_for_root_alone_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    read = Path.read_text

    def guarded(path: Path, *arguments: Any, **options: Any) -> str:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", guarded)
    assert energy.counter("cpu") == (None, f"only root may read {file}; let others: sudo chmod a+r {file}.")


def test_a_counter_that_is_no_number_is_refused(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1).write_text("lots")
    with pytest.raises(MeasureError, match="energy_uj gives no number of microjoules"):
        energy.Rapl(tmp_path)


class Library:
    """NVML with some GPUs, by index and UUID, each with millijoules since its driver was loaded."""

    def __init__(self, *totals_mj: int, tells: bool = True) -> None:
        self.totals_mj, self.tells = list(totals_mj), tells

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, place: Any) -> int:
        place._obj.value = len(self.totals_mj)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, place: Any) -> int:
        place._obj.value = index.value + 1  # a handle is an address, never null
        return 0 if index.value < len(self.totals_mj) else 2

    def nvmlDeviceGetHandleByUUID(self, name: bytes, place: Any) -> int:
        place._obj.value = int(name.decode().removeprefix("GPU-")) + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, place: Any) -> int:
        assert handle.value is not None
        place._obj.value = self.totals_mj[handle.value - 1]
        return 0 if self.tells else 3


def test_nvml_counts_the_one_gpu_in_microjoules() -> None:
    library = Library(70_000)
    counter = energy.used_gpu(library, "0", {})
    before = counter.read()
    library.totals_mj[0] += 12
    assert counter.spent_uj(before, counter.read()) == 12_000


@pytest.mark.parametrize(
    ("device_id", "environment", "total_mj"),
    [
        ("1", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, 20),
        ("0", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2,0"}, 30),
        ("1", {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-0"}, 10),
    ],
)
def test_of_several_gpus_it_is_the_one_that_cuda_uses(
    device_id: str, environment: dict[str, str], total_mj: int
) -> None:
    assert energy.used_gpu(Library(10, 20, 30), device_id, environment).read() == (total_mj * 1000,)


def test_which_of_several_gpus_is_never_guessed() -> None:
    with pytest.raises(MeasureError, match=r"not certain which one is used; set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        energy.used_gpu(Library(10, 20), "0", {})


def test_a_gpu_that_tells_no_energy_or_is_not_there_says_so() -> None:
    with pytest.raises(MeasureError, match=r"tells no energy of this GPU \(NVML error 3\)"):
        energy.used_gpu(Library(10, tells=False), "0", {})
    with pytest.raises(MeasureError, match=r"has no GPU 4 \(NVML error 2\)"):
        energy.used_gpu(Library(10), "4", {})


def test_without_a_driver_there_is_no_gpu_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "NVML_LIBRARY", "no-such-library.so.1")
    reason = "this machine has no NVIDIA driver: no-such-library.so.1 is not there."
    assert energy.counter("cuda") == (None, reason)


class Machine:
    """Takes 3 uJ a nanosecond at rest and 10 in calls of 7 ns each; it is session, counter and clock in one."""

    name, batch_count = "rapl", 2

    def __init__(self) -> None:
        self.now_ns, self.spent, self.calls = 0, 0, 0

    def run(self, batch_number: int) -> None:
        assert batch_number == self.calls % self.batch_count
        self.calls += 1
        self.now_ns += 7
        self.spent += 70

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
        self.spent += 3 * round(seconds * 1e9)

    def read(self) -> tuple[int, ...]:
        return (self.spent,)

    def spent_uj(self, before: tuple[int, ...], after: tuple[int, ...]) -> int:
        return after[0] - before[0]


def test_energy_is_that_of_the_calls_with_the_idle_window_before_them_apart() -> None:
    machine = Machine()
    rule = Rule(warmup_min_calls=4, min_ns=700)
    found = energy.spend(machine, machine, rule, 50, clock=machine.clock, sleep=machine.sleep)
    assert found == {
        "call_count": 100,
        "energy_uj": 7000,
        "wall_ns": 700,
        "idle_energy_uj": 150,
        "idle_wall_ns": 50,
    }


def test_the_warm_up_of_a_slow_file_ends_after_the_time_it_is_read_for() -> None:
    machine = Machine()
    energy.spend(machine, machine, Rule(warmup_min_calls=1000, min_ns=14), 50, machine.clock, machine.sleep)
    assert machine.calls == 2 + 2


@pytest.mark.skipif(energy.counter("cpu")[0] is not None, reason="this machine has a counter")
def test_a_process_asked_for_energy_where_there_is_none_ends_with_the_reason(
    tmp_path: Path, program: Path, job: dict[str, Any], file_of: FileOf
) -> None:
    asked = {**job, "action": "energy", "files": [file_of("net", gemm_net())], "batch_size": 1}
    with pytest.raises(MeasureError, match=r"^no energy counter of the processor lies in "):
        run_job(asked, tmp_path / "out", program)
