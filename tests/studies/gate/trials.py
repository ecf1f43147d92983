"""One trial: a file that is as fast as its reference, or slower by real work, under the gate's whole rule."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import naive
import numpy as np
from nets import NETWORKS, SIDES, Network
from rows import Row

from kdbench.measure.client import Client
from kdbench.timing.copies import with_doc_string
from kdbench.timing.duel import Duel, Effort, Pair, duel

SESSION = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1}
MAX_RATIO = 1.03
"""The gate's default tolerance."""
GUESS = 8
"""How many units of extra work the calibration begins with."""
STEPS = 2
"""How often the calibration is repeated."""
EXAMPLES = 8


@dataclass(frozen=True)
class Bench:
    """Makes files in a folder, and times them."""

    folder: Path
    effort: Effort

    def file(self, network: str, units: int, number: int) -> Path:
        """A network with so much extra work; files of another number differ in bytes only."""
        path = self.folder / f"{network}-{units}-{number}.onnx"
        if not path.exists():
            model = _made(NETWORKS[network], units)
            path.write_bytes(with_doc_string(model, f"copy {number}"))
        return path

    def inputs(self, network: str) -> Path:
        """Random images for a network."""
        path, side = self.folder / f"{network}.npz", SIDES[network]
        if not path.exists():
            images = np.random.default_rng(0).standard_normal((EXAMPLES, 3, side, side))
            np.savez(path, x=images.astype(np.float32))
        return path

    def duel(self, network: str, units: int, number: int) -> tuple[Duel, float]:
        """A file against the network without extra work, and the seconds that it took."""
        pair = Pair(network, self.file(network, units, number), self.file(network, 0, 0), MAX_RATIO)
        begin = time.perf_counter()
        client = Client(self.folder / "scratch", SESSION)
        (found,) = duel([pair], client, self.inputs(network), 1, effort=self.effort)
        if found.verdict is None:
            raise SystemExit(found.error)
        return found, time.perf_counter() - begin

    def cost(self, network: str, units: int) -> float:
        """How much slower units of extra work make a network, as a share of its time, over all processes of a duel."""
        found, _ = self.duel(network, units, 0)
        return math.expm1(float(np.median([*found.first, *found.second])))

    def units(self, network: str, percent: int) -> int:
        """How many units of extra work slow a network down by about `percent` per cent, here and now."""
        each, found = self.cost(network, GUESS) / GUESS, GUESS
        for _ in range(STEPS):
            if each <= 0:
                raise SystemExit(f"{found} units of extra work made {network} no slower: this machine is too busy.")
            found = max(1, round(percent / 100 / each))
            each = self.cost(network, found) / found
        return max(1, round(percent / 100 / each))


_MADE: dict[tuple[Network, int], bytes] = {}


def _made(network: Network, units: int) -> bytes:
    """Its weights are drawn from a seed: the same bytes every time."""
    if (network, units) not in _MADE:
        _MADE[network, units] = network(units).SerializeToString()
    return _MADE[network, units]


def trial(bench: Bench, network: str, percent: int, units: int, number: int, share: Callable[[], float] | None) -> Row:
    """One row; `share` tells the neighbour's share of a core, None where there is no neighbour."""
    load = os.getloadavg()[0]
    copy = number + 1
    found, wall_s = bench.duel(network, units, copy)
    bench.file(network, units, copy).unlink()
    new, reference = found.samples_ns[0], found.reference_samples_ns[0]
    return Row(
        network=network,
        busy=share is not None,
        meant_percent=percent,
        trial=number,
        units=units,
        verdict=str(found.verdict),
        process_log_ratios=(*found.first, *found.second),
        first_stage_count=len(found.first),
        wall_s=wall_s,
        new=naive.summary(new),
        reference=naive.summary(reference),
        ranked_slower=naive.by_ranks(new, reference),
        load_average=load,
        neighbour_fraction=share() if share is not None else 0.0,
        ended_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
