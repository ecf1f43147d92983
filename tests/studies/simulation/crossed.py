"""Made-up correctness of cases whose true accuracies are known: a logistic model with seeds and examples crossed.

logit = level + difficulty[example] + own[case, example] + seed[case, seed]; an answer is right with that probability.
`own` is what makes two equally good cases differ on the same examples, whatever the seed: the noise of the test set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

DIFFICULTY_SD = 2.0
"""Spread of the logit over examples: most examples are safe, some are hopeless."""
CHUNK = 250
"""Tables made at once; 360 examples and ten seeds of two cases take 7 MB."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
"""For means over a normal variable."""

Tables = NDArray[np.float64]
"""[table, seed, example]: differences in correctness, -1, 0 or 1."""


@dataclass(frozen=True)
class Setting:
    """Two cases; `drop` is how much worse the second is, as a rate. Standard deviations are of the logit."""

    seeds: int
    seed_sd: float
    example_sd: float = 1.0
    examples: int = 360
    accuracy: float = 0.95
    drop: float = 0.0
    second_seed_sd: float | None = None
    """Where it is not the first's."""

    @property
    def seed_sds(self) -> tuple[float, float]:
        return self.seed_sd, self.seed_sd if self.second_seed_sd is None else self.second_seed_sd


def level(accuracy: float, sd: float) -> float:
    """The mean logit at which a normal logit of that sd gives this accuracy."""
    found: float = brentq(lambda mean: float(WEIGHTS @ expit(mean + sd * NODES)) / WEIGHTS.sum() - accuracy, -30, 30)
    return found


def answers(rng: np.random.Generator, setting: Setting, count: int, cases: int = 2) -> NDArray[np.bool_]:
    """[table, case, seed, example]; from the second case on all are `drop` worse than the first."""
    sds = np.array([setting.seed_sds[min(case, 1)] for case in range(cases)])
    spreads = np.sqrt(DIFFICULTY_SD**2 + setting.example_sd**2 + sds**2)
    goals = [setting.accuracy - (setting.drop if case else 0.0) for case in range(cases)]
    levels = np.array([level(goal, float(sd)) for goal, sd in zip(goals, spreads, strict=True)])
    normal = partial(rng.standard_normal, dtype=np.float32)
    logits = (
        levels[:, None, None].astype(np.float32)
        + DIFFICULTY_SD * normal((count, 1, 1, setting.examples))
        + setting.example_sd * normal((count, cases, 1, setting.examples))
        + sds[:, None, None].astype(np.float32) * normal((count, cases, setting.seeds, 1))
    )
    return rng.random(logits.shape, dtype=np.float32) < expit(logits)


def differences(rng: np.random.Generator, setting: Setting, count: int) -> Iterator[Tables]:
    """`count` tables of first minus second, in chunks."""
    for start in range(0, count, CHUNK):
        right = answers(rng, setting, min(CHUNK, count - start))
        yield right[:, 0].astype(np.float64) - right[:, 1]
