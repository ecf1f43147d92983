"""False alarms of the gate and what it sees, on this machine: `python tests/studies/gate --pairs 120 -o report/gate`.

It can be stopped and started again: finished rows stay.
"""

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from busy import neighbour
from nets import NETWORKS
from order import SEED, Place, places
from page import write_report
from rows import SAME, append_row, read_rows
from trials import Bench, trial

import kdbench
from kdbench import units as text
from kdbench.measure import host
from kdbench.timing.duel import USUAL

SLOWER = (3, 5, 10)
"""Amounts of extra work to aim at, in per cent; how much slower it made the file is measured."""
MACHINES = {"quiet": False, "busy": True}
ROWS, WORK, MACHINE = "rows.jsonl", "work.json", "machine.json"
GUESS_S = (8.0, 24.0)
"""Seconds of an equal and of a slower pair, for an estimate before the first is timed."""

Share = Callable[[], float]


def main() -> None:
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / ROWS
    done = {row.place for row in read_rows(path)}
    machines = [MACHINES[name] for name in given.machine]
    wanted = places(given.network, machines, given.slower, given.pairs, given.slow_pairs)
    waiting = [place for place in wanted if place not in done]
    if waiting:
        _same_machine(given.out / MACHINE)
        effort = replace(USUAL, calls=given.calls, seconds=given.seconds)
        with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
            _run(waiting, Bench(Path(folder), effort), given.out, 60 * given.minutes)
    if rows := read_rows(path):
        print(write_report(rows, json.loads((given.out / MACHINE).read_text()), given.out))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150, help="equal pairs of each network and machine (default 150)")
    parser.add_argument("--slow-pairs", type=int, default=20, help="pairs of each slow-down there (default 20)")
    parser.add_argument("--slower", type=int, nargs="*", default=SLOWER, metavar="PERCENT", help="(default 3 5 10)")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--machine", nargs="+", choices=MACHINES, default=list(MACHINES))
    parser.add_argument("--calls", type=int, default=USUAL.calls, help="of a file in a process, at least")
    parser.add_argument("--seconds", type=float, default=USUAL.seconds, help="of a file in a process, at least")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; run again to go on")
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser.parse_args()


def _run(waiting: list[Place], bench: Bench, out: Path, most_s: float) -> None:
    """Do every trial, and say how much time is left."""
    begin, left = time.monotonic(), _Left(waiting)
    print(f"{len(waiting)} rows, about {left.said()}.", flush=True)
    for turn, (busy, together) in enumerate(groupby(waiting, key=lambda place: place[1])):
        with _neighbour(busy, SEED + turn) as share:
            for network, _, percent, number in together:
                if time.monotonic() - begin > most_s:
                    return
                row = trial(bench, network, percent, _units(bench, out, network, percent), number, share)
                append_row(out / ROWS, row)
                left.took(row.place, row.wall_s)
                machine = "busy" if busy else "quiet"
                print(f"{network}, {machine}, {percent} %: {row.verdict}; {left.said()} left", flush=True)


class _Left:
    """How long the remaining trials take, judged by similar ones that are done."""

    def __init__(self, waiting: list[Place]) -> None:
        self._waiting = [place[:3] for place in waiting]
        self._spent: dict[tuple[str, bool, int], list[float]] = {}

    def took(self, place: Place, seconds: float) -> None:
        self._waiting.remove(place[:3])
        self._spent.setdefault(place[:3], []).append(seconds)

    def said(self) -> str:
        return text.duration(1e9 * sum(map(self._guess, self._waiting)))

    def _guess(self, kind: tuple[str, bool, int]) -> float:
        spent = self._spent.get(kind)
        return sum(spent) / len(spent) if spent else GUESS_S[kind[2] != SAME]


@contextlib.contextmanager
def _neighbour(busy: bool, seed: int) -> Iterator[Share | None]:
    if not busy:
        yield None
        return
    with neighbour(seed) as share:
        yield share


def _units(bench: Bench, out: Path, network: str, percent: int) -> int:
    """Units of extra work; measured once for a network and kept, so that rows of one kind are of one file."""
    if percent == SAME:
        return 0
    path = out / WORK
    known = json.loads(path.read_text()) if path.exists() else {}
    if str(percent) not in known.get(network, {}):
        known.setdefault(network, {})[str(percent)] = bench.units(network, percent)
        path.write_text(json.dumps(known, indent=1) + "\n")
    return int(known[network][str(percent)])


def _same_machine(path: Path) -> None:
    """Note the machine and the versions. Refuses to add to the rows of another machine or version."""
    here = json.loads(json.dumps(_machine()))
    if path.exists() and json.loads(path.read_text()) != here:
        raise SystemExit(f"{path.parent} holds rows of another machine or other versions; name another folder.")
    path.write_text(json.dumps(here, indent=1) + "\n")


def _machine() -> dict[str, object]:
    packages = {name: version(name) for name in ("onnxruntime", "numpy")}
    cores = {"physical_core_count": host.physical_core_count(), "logical_core_count": os.cpu_count()}
    system = f"{platform.system()} {platform.release()}"
    named = {"kdbench": kdbench.__version__, "python": platform.python_version(), **packages}
    return {"cpu": host.cpu_name(), **cores, "system": system, "versions": named}


if __name__ == "__main__":
    main()
