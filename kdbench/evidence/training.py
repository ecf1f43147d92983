"""What a case's trainings cost and how they went, found through the lineage of its facts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from kdbench.results.folder import Results
from kdbench.results.records import Accuracy, Compression, Record, Size, Training


@dataclass(frozen=True)
class Cost:
    """Mean over seeds of the processor and wall time of the stages that trained and compressed a case."""

    wall_ns: float
    cpu_ns: float


@dataclass(frozen=True)
class Curve:
    """Validation accuracy by epoch of one seed, its training stages one after another."""

    seed: int
    values: tuple[float, ...]
    keys: tuple[str, ...]
    """Of those stages."""
    starts: tuple[int, ...]
    """Where each stage after the first begins, as a place in `values`."""


def training_cost(results: Results, case: str) -> Cost | None:
    """Each stage counted once, in every case that rests on it; the teacher's stages only in the teacher's own cost.

    A stage that compressed and trained has two records of one key; the longer one covers the other.
    """
    wall, cpu = stage_times(results)
    stages = stages_of(results, case)
    if not stages:
        return None
    return Cost(
        sum(wall[key] for keys in stages.values() for key in keys) / len(stages),
        sum(cpu[key] for keys in stages.values() for key in keys) / len(stages),
    )


def curves(results: Results, case: str) -> list[Curve]:
    """A case's curves, one a seed; empty where nothing was trained or validated."""
    by_key = {record.key: record for record in results.of(Training)}
    found = []
    for seed, keys in sorted(stages_of(results, case).items()):
        validated = tuple(key for key in keys if key in by_key and by_key[key].validation_by_epoch)
        runs = [by_key[key].validation_by_epoch or () for key in validated]
        if runs:
            starts = tuple(sum(len(run) for run in runs[:place]) for place in range(1, len(runs)))
            found.append(Curve(seed, tuple(value for run in runs for value in run), validated, starts))
    return found


def stages_of(results: Results, case: str) -> dict[int, tuple[str, ...]]:
    """Keys of the training and compression stages behind each seed of a case, from the data down."""
    known, taught = stage_times(results)[0], set()
    if case not in results.plan.teachers:
        taught = {record.key for record in _works(results) if record.case in results.plan.teachers}
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for record in _resting(results, case):
        for key in (*record.lineage, record.key):
            if key in known and key not in taught:
                found[record.seed][key] = None
    return {seed: tuple(keys) for seed, keys in found.items()}


def _resting(results: Results, case: str) -> Iterable[Record]:
    """The facts whose lineage says what a case rests on; its own trainings where it never got further."""
    facts = [*results.of(Accuracy, case), *results.of(Size, case)]
    return facts or [record for record in _works(results) if record.case == case]


def _works(results: Results) -> list[Training | Compression]:
    return [*results.of(Training), *results.of(Compression)]


def stage_times(results: Results) -> tuple[dict[str, int], dict[str, int]]:
    """Wall and processor time of every stage that trained or compressed, by key."""
    wall: dict[str, int] = {}
    cpu: dict[str, int] = {}
    for record in _works(results):
        wall[record.key] = max(wall.get(record.key, 0), record.wall_ns or 0)
        cpu[record.key] = max(cpu.get(record.key, 0), record.cpu_ns or 0)
    return wall, cpu
