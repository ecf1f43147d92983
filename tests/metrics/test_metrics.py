"""Metrics: their values by hand and by scikit-learn, and pseudo-values from which the same statistics follow."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from kdbench import registry
from kdbench.errors import UnknownName
from kdbench.evidence.differences import paired_difference
from kdbench.metrics.accuracy import Accuracy
from kdbench.protocols import Metric
from kdbench.protocols.metric import metric_named
from kdbench.testing import check_metric


class MacroF1(Metric):
    """As a user writes one: the value alone."""

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(f1_score(targets, outputs, average="macro", labels=range(4), zero_division=0))


class Balanced(Metric):
    """The mean over classes of the share of each that is found."""

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(balanced_accuracy_score(targets, outputs))


class Errors(Metric):
    """The share of wrong answers."""

    direction = "lower"
    counted = True

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return float((outputs != targets).mean())

    def pseudo_values(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (outputs != targets).astype(float)


def drawn(count: int, right: float = 0.8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    targets = draw.integers(0, 4, count).astype(np.int32)
    return np.where(draw.random(count) < right, targets, draw.integers(0, 4, count)).astype(np.int32), targets


@pytest.mark.parametrize("name", registry.TABLE["metric"])
def test_every_registered_metric_keeps_the_contract(name: str) -> None:
    check_metric(metric_named(name))


@pytest.mark.parametrize("metric", [MacroF1(), Balanced(), Errors()])
def test_so_does_a_users_own_with_the_value_alone(metric: Metric) -> None:
    check_metric(metric)


def test_accuracy_is_the_share_of_right_answers() -> None:
    outputs, targets = np.array([0, 1, 2, 2], np.int32), np.array([0, 1, 1, 2], np.int32)
    assert Accuracy().value(outputs, targets) == 0.75
    assert Accuracy().pseudo_values(outputs, targets).tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("count", [1, 2, 7, 19, 400, 1003])
def test_the_mean_of_a_jackknife_is_the_value_whatever_the_count(count: int) -> None:
    outputs, targets = drawn(count)
    metric = MacroF1()
    assert metric.pseudo_values(outputs, targets).mean() == pytest.approx(metric.value(outputs, targets), abs=1e-12)


class SlowAccuracy(Metric):
    """Accuracy by its value alone."""

    def value(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return Accuracy().value(outputs, targets)


def test_a_jackknifes_standard_error_is_that_of_the_examples() -> None:
    """Over 200 tables the mean variance of a mean is p (1 - p) / n, by blocks as by single examples."""
    found = []
    for seed in range(200):
        each = SlowAccuracy().pseudo_values(*drawn(1000, seed=seed))
        found.append(np.var(each, ddof=1) / len(each))
    right = 0.8 + 0.2 / 4
    assert np.mean(found) == pytest.approx(right * (1 - right) / 1000, rel=0.05)


def test_two_cases_of_equal_balanced_accuracy_are_rarely_told_apart() -> None:
    """Blocks are the same for every case, so differences are paired; 5 of 100 tables are expected."""
    told = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        targets = draw.integers(0, 4, 400).astype(np.int32)
        rows = [np.where(draw.random(400) < 0.8, targets, 3 - targets).astype(np.int32) for _ in range(2)]
        one, other = (Balanced().pseudo_values(row, targets) for row in rows)
        p = paired_difference((one - other)[np.newaxis]).p
        told += p is not None and p < 0.05
    assert told <= 13  # 4 standard errors of 100 draws at 5 %


def test_which_way_is_worse_follows_the_direction() -> None:
    assert Accuracy().loss(reference=0.9, new=0.8) == pytest.approx(0.1)
    assert Errors().loss(reference=0.1, new=0.2) == pytest.approx(0.1)


def test_a_metric_that_breaks_its_promise_is_told_which() -> None:
    class Biased(Errors):
        def pseudo_values(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
            return np.ones(len(targets))

    class Narrow(Errors):
        """Right on average, with half the spread."""

        counted = False

        def pseudo_values(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
            each = super().pseudo_values(outputs, targets)
            return (each + each.mean()) / 2

    with pytest.raises(AssertionError, match="the mean of Biased's pseudo-values is 1"):
        check_metric(Biased())
    with pytest.raises(AssertionError, match="Narrow's pseudo-values spread by"):
        check_metric(Narrow())


@pytest.mark.parametrize("name", ["acuracy", "mine.py:Mine"])
def test_a_task_names_registered_metrics_only(name: str) -> None:
    """A results folder says its metric too, and must not name a file to be run."""
    with pytest.raises(UnknownName, match=r"there is no metric .*entry point kdbench\.metrics"):
        metric_named(name)
