"""Whether less is lost than is allowed: a one-sided p, by hand and by its level."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from kdbench.evidence.answers import Answers, BySeed
from kdbench.evidence.comparisons import beyond_p
from kdbench.evidence.differences import holm
from kdbench.metrics.accuracy import Accuracy
from kdbench.metrics.errors import RMSE
from kdbench.protocols import Output
from kdbench.protocols.metric import Metric
from kdbench.results.predictions import Predictions
from kdbench.results.records import Score
from kdbench.suite.losses import scale_of

MEGAWATTS = RMSE().judging(Output(kind="values", axes=(1,), unit="MW"))
TRUE = np.zeros(400, np.int32)


def answered(metric: Metric, *outputs: np.ndarray) -> BySeed:
    found = {}
    for seed, given in enumerate(outputs):
        targets = np.zeros_like(given)
        predictions = Predictions(Path("p"), given, targets, given, metric)
        record = Score(suite="s", case="c", seed=seed, key="k", metric=metric.name, direction=metric.direction,
                       value=predictions.value, example_count=len(given), split="test", runtime="r")  # fmt: skip
        found[seed] = Answers(record, predictions)
    return found


def test_one_seed_is_a_one_sided_t_test_over_the_examples() -> None:
    draw = np.random.default_rng(0)
    new, its = (draw.random(400) < share for share in (0.08, 0.05))
    lost = new.astype(float) - its
    files = (answered(Accuracy(), one.astype(np.int32)) for one in (new, its))
    found = beyond_p(*files, 0.05, False, scale_of(Accuracy()))
    assert found == pytest.approx(ttest_1samp(lost, 0.05, alternative="less").pvalue, rel=0.05)


@pytest.mark.parametrize(("amount", "is_share", "sure"), [(0.5, False, True), (0.05, False, False), (0.4, True, True)])
def test_a_rise_is_told_in_its_unit_and_as_a_share(amount: float, is_share: bool, sure: bool) -> None:
    """RMSE 1.1 MW against 1.0 MW: 0.1 MW, or a tenth, is lost."""
    draw = np.random.default_rng(1)
    errors = draw.normal(size=(3, 500, 1))
    its = answered(MEGAWATTS, *errors)
    new = answered(MEGAWATTS, *(1.1 * errors))
    p = beyond_p(new, its, amount, is_share, scale_of(MEGAWATTS))
    assert p is not None
    assert (p < 0.05) == sure


def test_of_eight_that_lose_just_what_is_allowed_few_pass_by_holm() -> None:
    """Each tested by itself, one or more would pass in a fifth of the tables; nominal is 5 in 100."""
    draw, alone, together, tables = np.random.default_rng(2), 0, 0, 150
    for _ in range(tables):
        shared = draw.random(1000)
        its = answered(Accuracy(), (shared > 0.9).astype(np.int32))
        drawn = (np.where(draw.random(1000) < 0.3, draw.random(1000), shared) for _ in range(8))
        new = [answered(Accuracy(), (one > 0.88).astype(np.int32)) for one in drawn]
        p = [beyond_p(one, its, 0.02, False, scale_of(Accuracy())) for one in new]
        alone += min(one for one in p if one is not None) < 0.05
        together += min(one for one in holm(p) if one is not None) < 0.05
    assert together <= 0.05 * tables + 4 * np.sqrt(0.05 * 0.95 * tables)
    assert alone > 2 * together
