"""The cost and the course of a case's trainings, found through the lineage of its records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from kdbench.results.folder import Results
from kdbench.results.records import Compression, Labelled, Size, Training


@dataclass(frozen=True)
class Cost:
    """Wall and processor time of the stages that trained and compressed a case; means over seeds."""

    wall_ns: float
    cpu_ns: float


@dataclass(frozen=True)
class Curve:
    """Validation accuracy by epoch of one seed, its training stages one after another."""

    seed: int
    values: tuple[float, ...]
    keys: tuple[str, ...]
    """The keys of those stages."""
    starts: tuple[int, ...]
    """Where each stage after the first begins, as a place in `values`."""


class Stages:
    """The stages of a results folder that trained or compressed something, looked up once for all its cases."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._trainings = {record.key: record for record in results.of(Training)}
        self.wall_ns: dict[str, int] = {}
        """Wall time of each stage, by its key. A stage that compressed and trained has two records of one key; the
        longer one covers the other."""
        self.cpu_ns: dict[str, int] = {}
        works: list[Training | Compression] = [*results.of(Training), *results.of(Compression)]
        for record in works:
            self.wall_ns[record.key] = max(self.wall_ns.get(record.key, 0), record.wall_ns)
            self.cpu_ns[record.key] = max(self.cpu_ns.get(record.key, 0), record.cpu_ns)
        self._teaching = frozenset(record.key for record in works if record.case in results.plan.teachers)

    def of(self, case: str) -> dict[int, tuple[str, ...]]:
        """Keys of the stages behind each seed of a case, in order. A teacher's stages count in its own case only."""
        others = frozenset() if case in self._results.plan.teachers else self._teaching
        found: dict[int, dict[str, None]] = {}
        for record in self._resting(case):
            for key in (*record.lineage, record.key):
                if key in self.wall_ns and key not in others:
                    found.setdefault(record.seed, {})[key] = None
        return {seed: tuple(keys) for seed, keys in found.items()}

    def _resting(self, case: str) -> list[Labelled]:
        """The records whose lineage names a case's stages; its own trainings where it got no further."""
        results = self._results
        facts: list[Labelled] = [*results.scores(case), *results.of(Size, case)]
        return facts or [*results.of(Training, case), *results.of(Compression, case)]

    def cost_of(self, by_seed: Mapping[int, Sequence[str]]) -> Cost | None:
        """Cost of some stages, each counted once a seed; None without stages."""
        keys = [key for of_seed in by_seed.values() for key in of_seed]
        if not keys:
            return None
        wall, cpu = (sum(times[key] for key in keys) / len(by_seed) for times in (self.wall_ns, self.cpu_ns))
        return Cost(wall, cpu)

    def curves(self, by_seed: Mapping[int, Sequence[str]]) -> tuple[Curve, ...]:
        """Curves of some stages, one a seed; empty if nothing was trained or validated."""
        return tuple(found for seed, keys in sorted(by_seed.items()) if (found := self._curve(seed, keys)))

    def _curve(self, seed: int, keys: Sequence[str]) -> Curve | None:
        trained = ((key, self._trainings[key].validation_by_epoch) for key in keys if key in self._trainings)
        runs = {key: values for key, values in trained if values}
        if not runs:
            return None
        starts = tuple(accumulate(len(values) for values in runs.values()))[:-1]
        return Curve(seed, tuple(chain.from_iterable(runs.values())), tuple(runs), starts)
