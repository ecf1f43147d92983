"""A neighbour on the machine: a process of its own that computes half of the time where a core is free for it, in

bursts from a seed.
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

BURST_S = (0.005, 0.2)
"""Shortest and longest burst, and pause: log-uniform, from a scheduler's slice to what a compiler's step takes."""
TABLE_BYTES = 16 * 2**20
"""Bytes read and written in every burst: more than a core's own cache, so that shared caches are disturbed too."""

Share = Callable[[], float]


@contextlib.contextmanager
def neighbour(seed: int) -> Iterator[Share]:
    """Run a busy process while inside. Yields a function that tells the share of a core it has taken so far."""
    with subprocess.Popen([sys.executable, __file__, str(seed)], stdin=subprocess.PIPE) as process:
        begin = time.monotonic()
        try:
            yield lambda: _cpu_seconds(process.pid) / (time.monotonic() - begin)
        finally:
            process.kill()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process: fields 14 and 15 of proc(5)'s stat."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bursts(seed: int) -> Iterator[float]:
    """Lengths in seconds of work and rest, by turns, without end."""
    chance = random.Random(seed)
    short, long = BURST_S
    while True:
        yield short * (long / short) ** chance.random()


def _work(seconds: float, table: bytearray) -> None:
    """Compute for so much processor time, however long others keep the core busy."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        table[:] = table.translate(None)
        sum(value * value for value in range(20_000))


def main(seed: int) -> None:
    """Work and rest in turn until standard input ends with the process that started this one."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    table, durations = bytearray(TABLE_BYTES), bursts(seed)
    while not ended.is_set():
        _work(next(durations), table)
        ended.wait(next(durations))


if __name__ == "__main__":
    main(int(sys.argv[1]))
