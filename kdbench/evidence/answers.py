"""What the files of a results folder answered, case by case and seed by seed, with their pseudo-values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.evidence.intervals import FEWEST
from kdbench.protocols.metric import Metric
from kdbench.results.folder import Results
from kdbench.results.predictions import Predictions
from kdbench.results.records import Score

SPLIT = "test"
"""The split that is reported; validation is for choosing."""


@dataclass(frozen=True)
class Answers:
    """The answers of one file on one split."""

    record: Score
    predictions: Predictions | None
    """None where none are stored."""
    is_untrained: bool = False
    """Whether no training, and so no seed, had a part in it: the one file stands for every seed."""

    @property
    def pseudo_values(self) -> NDArray[np.float64] | None:
        """(n,), one number an example, whose mean is `value` (`kdbench.protocols.metric`)."""
        return self.predictions.pseudo_values if self.predictions else None

    @property
    def value(self) -> float:
        """The metric over all examples; only answers that have one are compared."""
        assert self.record.value is not None
        return self.record.value

    @property
    def metric(self) -> Metric | None:
        """None where no predictions are stored."""
        return self.predictions.metric if self.predictions else None

    @property
    def is_counted(self) -> bool:
        """Whether its pseudo-values are zeros and ones, or unknown: exact counts, and no guard."""
        return self.metric is None or self.metric.counted


BySeed = Mapping[int, Answers]


def is_untrained(by_seed: BySeed) -> bool:
    """Whether a case's one file stands for every seed."""
    return bool(by_seed) and all(one.is_untrained for one in by_seed.values())


def alongside(answers: Sequence[BySeed]) -> list[BySeed]:
    """The same cases, over the same seeds: a file that no training made stands at every seed of the others.

    Where none of them was trained each stands FEWEST times: rows that are equal have no noise over seeds, and what is
    left of an interval is that over test examples alone.
    """
    seeds = next((tuple(one) for one in answers if not is_untrained(one)), tuple(range(FEWEST)))
    return [dict.fromkeys(seeds, next(iter(one.values()))) if is_untrained(one) else one for one in answers]


def answers_by_case(
    results: Results, target: str, split: str = SPLIT, records: Sequence[Score] | None = None
) -> dict[str, dict[int, Answers]]:
    """The answers of every case on a target and a split, seed by seed.

    Cases without any are left out, and those of which a seed has no value: the others would be another case's.
    """
    found: dict[str, dict[int, Answers]] = {name: {} for name in results.case_names}
    for record in results.scores() if records is None else records:
        if record.target == target and record.split == split:
            case = results.plan.cases.get(record.case)
            untrained = case is not None and not case.trained
            found[record.case][record.seed] = Answers(record, results.predictions(record), untrained)
    return {
        case: dict(sorted(seeds.items()))
        for case, seeds in found.items()
        if seeds and all(one.record.value is not None for one in seeds.values())
    }


def table_of(answers: Sequence[BySeed]) -> NDArray[np.float64]:
    """[case, seed, example]: pseudo-values; the value in place of the examples where those are not all stored.

    All cases have the same seeds.
    """
    rows = [[one.pseudo_values for _, one in sorted(by_seed.items())] for by_seed in answers]
    stored = [row for seeds in rows for row in seeds if row is not None]
    if len(stored) == sum(map(len, rows)) and len({row.shape for row in stored}) == 1:
        return np.asarray(rows, dtype=np.float64)
    return np.asarray([[[one.value] for _, one in sorted(by_seed.items())] for by_seed in answers])
