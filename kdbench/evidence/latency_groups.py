"""Which cases cannot be told apart in latency at one target and batch size. Knows no results folder and no text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat

import numpy as np
from numpy.typing import NDArray

from kdbench.evidence.grids import apart_grids_p, grid_p
from kdbench.evidence.groups import letters
from kdbench.evidence.intervals import FEWEST
from kdbench.evidence.latency import BASELINE, grid, log_ratios, reference_samples
from kdbench.evidence.pairs import apart_grid_pairs, grid_pairs, told_apart
from kdbench.results.records import Latency

Against = tuple[str | None, str]
"""A machine's fingerprint, and the sha256 of the baseline's file."""


@dataclass(frozen=True)
class Beside:
    """One file's latencies beside those of its baseline's file."""

    logs: tuple[float, ...]
    """Per process, log(its time / the baseline's of the same rounds)."""
    processes: int
    """Equal for two files that the same processes timed: a hash of the baseline's samples, which they share then."""
    against: Against
    digest: str | None
    """sha256 of the file, where it is known."""


BySeed = Mapping[int, Beside]
Table = NDArray[np.float64]


def latency_letters(by_case: Mapping[str, Sequence[Latency]], digests: Mapping[tuple[str, int], str]) -> dict[str, str]:
    """Letters over all pairs of cases timed beside the same baseline, Holm-adjusted; the fastest has the first.

    `by_case`: everything timed at one setting; `digests`: sha256 of each (case, seed)'s file. A case has no letters
    where a seed's baseline was not timed beside it, or in fewer than FEWEST processes; nor has anybody where no two
    cases are left. Raises RecordError where a record does not fit its reference.
    """
    timed = {name: _beside(records, digests) for name, records in by_case.items()}
    found = _comparable({name: by_seed for name, by_seed in timed.items() if by_seed})
    names = sorted(found, key=lambda name: float(_grid(found[name]).mean()))
    return letters(names, told_apart(_pair_p([found[name] for name in names]))) if len(names) > 1 else {}


def _beside(records: Sequence[Latency], digests: Mapping[tuple[str, int], str]) -> BySeed:
    """Empty unless enough processes timed every seed beside its baseline."""
    found: dict[int, Beside] = {}
    for record in records:
        logs = tuple(log_ratios(record, BASELINE))
        if len(logs) < FEWEST:
            return {}
        against = (record.fingerprint, record.references[BASELINE])
        processes = hash(reference_samples(record, BASELINE))
        found[record.seed] = Beside(logs, processes, against, digests.get((record.case, record.seed)))
    return found


def _comparable(found: Mapping[str, BySeed]) -> dict[str, BySeed]:
    """The most cases that have one baseline file on one machine in common; letters of two baselines would mix."""
    against = {name: {file.against for file in by_seed.values()} for name, by_seed in found.items()}
    common = Counter(next(iter(those)) for those in against.values() if len(those) == 1).most_common(1)
    return {name: by_seed for name, by_seed in found.items() if common and against[name] == {common[0][0]}}


def _pair_p(files: Sequence[BySeed]) -> Table:
    """[one, other]: the p of equal latencies, paired where the same processes timed both; NaN where it has none.

    The same files have none: nothing tells them apart.
    """
    grids = [_grid(by_seed) for by_seed in files]
    p = apart_grid_pairs(grids)
    together = [tuple((seed, file.processes) for seed, file in by_seed.items()) for by_seed in files]
    for form in set(together):
        places = [place for place, its in enumerate(together) if its == form]
        p[np.ix_(places, places)] = grid_pairs(np.stack([grids[place] for place in places]))
    content = [[file.digest for file in by_seed.values()] for by_seed in files]
    for one, other in combinations(range(len(files)), 2):
        if files[one].keys() != files[other].keys():
            p[one, other] = p[other, one] = _unlike_p(files[one], files[other])
        elif content[one] == content[other] and None not in content[one]:
            p[one, other] = p[other, one] = np.nan
    return p


def _unlike_p(one: BySeed, other: BySeed) -> float:
    """p of equal latencies of two cases that have different seeds; NaN where it has none."""
    pairs = _pairs(one, other)
    if pairs and all(a.digest is not None and a.digest == b.digest for a, b in pairs):
        return np.nan
    if pairs and all(a.processes == b.processes for a, b in pairs):
        p = grid_p(grid([tuple(np.subtract(a.logs, b.logs)) for a, b in pairs]))
    else:
        p = apart_grids_p(_grid(one), _grid(other))
    return np.nan if p is None else p


def _pairs(one: BySeed, other: BySeed) -> list[tuple[Beside, Beside]]:
    """Files of the same seed; a case's only file (a teacher's) is paired with each of the other's."""
    if len(one) == 1:
        return list(zip(repeat(next(iter(one.values()))), other.values()))
    if len(other) == 1:
        return list(zip(one.values(), repeat(next(iter(other.values())))))
    return [(one[seed], other[seed]) for seed in one if seed in other]


def _grid(by_seed: BySeed) -> Table:
    return grid([file.logs for file in by_seed.values()])
