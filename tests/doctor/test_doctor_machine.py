"""What the doctor says of the machine itself: who else uses it, what a container may use, memory, counters."""

import os
from pathlib import Path
from typing import ClassVar

import pytest

from kdbench.doctor import machine
from kdbench.errors import MeasureError
from kdbench.measure import energy, host

CORES = os.cpu_count() or 1


class Watched:
    """A gauge that read what a test says."""

    seen: ClassVar[dict[str, object]] = {}

    def read(self) -> dict[str, object]:
        return self.seen


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, hasty: None) -> type[Watched]:
    quiet = {"other_cpu_fraction": 0.0, "steal_fraction": 0.0, "load_average": 0.1, "affinity": list(range(CORES))}
    monkeypatch.setattr(Watched, "seen", quiet)
    monkeypatch.setattr(host, "Gauge", Watched)
    monkeypatch.setattr(machine, "CGROUP", Path("/nowhere"))
    monkeypatch.setattr(host, "also", lambda: {"ram_bytes": 8 * 2**30})
    return Watched


def told() -> list[str]:
    return [trouble.text for trouble in machine.this_machine().troubles]


def test_a_quiet_machine_has_no_trouble(watched: type[Watched]) -> None:
    assert told() == []


def test_other_work_is_told_in_cores_with_the_word_that_rows_will_bear(watched: type[Watched]) -> None:
    watched.seen["other_cpu_fraction"] = 0.65
    assert told() == [
        f"other work uses {0.65 * CORES:.1f} of {CORES} cores: times measured now will be marked 'contended'; wait, or "
        "stop it."
    ]


def test_other_work_below_the_threshold_of_rows_is_no_trouble(watched: type[Watched]) -> None:
    watched.seen["other_cpu_fraction"] = 0.14
    assert told() == []


def test_time_that_the_host_withholds_is_told(watched: type[Watched]) -> None:
    watched.seen["steal_fraction"] = 0.08
    (text,) = told()
    assert "withholds 8% of the processor time" in text
    assert "'processor time stolen'" in text


def test_a_governor_that_follows_the_load_comes_with_its_command(
    watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "also", lambda: {"governor": "powersave"})
    (trouble,) = machine.this_machine().troubles
    assert "'powersave'" in trouble.text
    assert trouble.commands == ("sudo cpupower frequency-set --governor performance",)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_what_a_container_may_use_is_read_in_both_forms(
    files: dict[str, str], cores: float | None, watched: type[Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = machine.this_machine()
    assert found.quota_cores == cores
    told = [trouble.text for trouble in found.troubles]
    assert len(told) == (cores is not None and cores < CORES)
    assert all(f"may use {cores:g} of {CORES} cores" in text for text in told)


def test_a_counter_that_cannot_be_read_says_why(watched: type[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"cpu": (None, "only root may read energy_uj."), "cuda": ("nvml", "")}
    monkeypatch.setattr(energy, "counter", lambda provider: answers[provider])
    nvml, rapl = machine.this_machine().energy
    assert (nvml.name, nvml.state, nvml.reason) == ("NVML", "present", "")
    assert (rapl.name, rapl.state, rapl.reason) == ("RAPL", "absent", "only root may read energy_uj.")


def test_peak_memory_that_the_system_does_not_tell_is_told_with_the_reason(
    watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise MeasureError("Windows does not tell a process its peak memory.")

    monkeypatch.setattr(host, "peak_rss_bytes", refuse)
    found = machine.this_machine()
    assert found.peak_memory == "Windows does not tell a process its peak memory."
    assert not found.resets_peak_memory


def test_a_peak_that_stays_where_it_was_cannot_begin_anew(
    watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "peak_rss_bytes", lambda: 10**9)
    found = machine.this_machine()
    assert found.peak_memory is None
    assert not found.resets_peak_memory
