"""Memory that a worker frees: kept for its next step, and given back after its stages."""

import subprocess
import sys

import pytest

from kdbench.stages import allocator

PROGRAM = """
import resource, threading
from kdbench.stages import allocator

{first}
faults, resident = [], []

def residence():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def step():
    [bytearray(size) for size in (3 << 20, 5 << 20, 40 << 20)]

def steps():
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

with allocator.handing_back():
    thread = threading.Thread(target=steps)
    thread.start()
    thread.join()
    resident.append(residence())
resident.append(residence())
print(*faults, *resident)
"""


def measured(first: str) -> list[int]:
    """Page faults of ten steps of a second thread; bytes resident after them, and once freed memory is given back."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)], capture_output=True, text=True, check=True
    )
    return [int(number) for number in run.stdout.split()]


@pytest.mark.skipif(allocator._glibc() is None, reason="memory is left to another library than glibc")
def test_steps_of_any_thread_fetch_no_memory_anew_and_none_is_held_after_the_stages() -> None:
    """48 MiB a step are 12,288 pages of 4 KiB."""
    (fetched, *_), (kept, before, after) = measured("pass"), measured("allocator.one_heap()")
    assert kept < 100 < fetched / 100
    assert before - after > 40 * 2**20


def test_elsewhere_nothing_is_done_and_a_stage_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(allocator, "_glibc", lambda: asked.append("library"))  # gives None
    allocator.one_heap()
    with allocator.handing_back():
        asked.append("stage")
    assert asked == ["library", "stage", "library"]
