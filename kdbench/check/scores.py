"""The task's metric of both sides on the same test examples, from stored predictions. Runs no file."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import units
from kdbench.check.sides import Place, Scope, Side, verdict_of
from kdbench.check.verdicts import Row, Verdict
from kdbench.errors import StoreError, UnknownName
from kdbench.evidence.comparisons import losses
from kdbench.evidence.differences import (
    Difference,
    examples_difference,
    influence_difference,
    paired_difference,
    sign_test,
)
from kdbench.evidence.intervals import FEWEST
from kdbench.protocols.metric import Metric
from kdbench.results.predictions import Predictions
from kdbench.scale import ACCURACY, Scale
from kdbench.suite.losses import Allowed
from kdbench.suite.tolerances import SuiteTolerances

FALSE_ALARM = 0.005
"""How often chance alone may call equal files "less accurate" (one-sided), whatever the tolerance."""
ROUNDING = 1e-12


def accuracy_rows(scope: Scope, tolerances: SuiteTolerances, wrong: Mapping[Place, str]) -> Iterator[Row]:
    """A row for each case and target, over all seeds that both sides have; a row for each seed where they share fewer
    than three.

    wrong: the new files whose records do not hold on this machine -> what is the matter with them.
    """
    for case in scope.shared_cases:
        limit = tolerances.at(case).loss(scope.new.results.metric_name, scope.new.metric)
        for target in scope.shared_targets(case):
            seeds = scope.shared_seeds(case, target)
            for group in [seeds] if len(seeds) >= FEWEST else [(seed,) for seed in seeds]:
                yield _row(scope, case, target, group, limit, wrong)


def _row(
    scope: Scope, case: str, target: str, seeds: tuple[int, ...], limit: Allowed, wrong: Mapping[Place, str]
) -> Row:
    verdict, said, numbers = _judged(scope, case, target, seeds, limit, wrong)
    seed = seeds[0] if len(seeds) == 1 else None
    return scope.score_row(case, seed, verdict, said, target, **numbers)


Judged = tuple[Verdict, str, dict[str, Any]]


def _judged(
    scope: Scope, case: str, target: str, seeds: tuple[int, ...], limit: Allowed, wrong: Mapping[Place, str]
) -> Judged:
    for seed in seeds:
        if (case, seed, target) in wrong:
            sentence = wrong[case, seed, target]
            return verdict_of(sentence), f"Seed {seed}: {sentence}", {"limit": limit.amount}
    try:
        metric = scope.new.metric
        pairs = [_both(scope, metric, case, seed, target) for seed in seeds]
    except (StoreError, UnknownName) as error:
        return Verdict.ERRORED, str(error), {"limit": limit.amount}
    if any(pair is None for pair in pairs):
        return Verdict.CANNOT_TELL, _unpaired(scope), {"limit": limit.amount}
    each = np.array([pair for pair in pairs if pair is not None])
    few = next((found.few for seed in seeds if (found := _predictions(scope.new, case, seed, target))), None)
    return judged(metric, scope.new.results.scale, each, limit, few)


def judged(metric: Metric, scale: Scale, each: NDArray[np.float64], limit: Allowed, few: str | None = None) -> Judged:
    """The verdict on pseudo-values (seeds, 2, n), the new file's first, and what a row of it shows.

    limit: the loss that is allowed; few: why the examples are too few.
    """
    if metric.counted:
        verdict, said, numbers = compared(metric, each, limit.amount)
    else:
        untold = few if metric.tested else f"{metric.name} is shown and never tested"
        verdict, said, numbers = compared_values(metric, scale, each, limit, untold)
    return verdict, said, {"limit": limit.amount, **numbers}


def _unpaired(scope: Scope) -> str:
    return (
        f"{scope.new.name} and {scope.reference.name} do not keep predictions of the same test examples; "
        "run the reference again on the same data."
    )


def _both(scope: Scope, metric: Metric, case: str, seed: int, target: str) -> NDArray[np.float64] | None:
    """(2, n): the metric's pseudo-values of the new file and the reference's; None where they cannot be paired."""
    new, its = (_predictions(side, case, seed, target) for side in (scope.new, scope.reference))
    if new is None or its is None or new.examples != its.examples:
        return None
    return np.stack([new.pseudo_values, its.pseudo_values])


def _predictions(side: Side, case: str, seed: int, target: str) -> Predictions | None:
    record = side.accuracies.get((case, seed, target))
    return side.results.predictions(record) if record else None


def compared(metric: Metric, each: NDArray[np.float64], limit: float) -> Judged:
    """The verdict on pseudo-values (seeds, 2, n), the new file's first."""
    new, its = each[:, 0], each[:, 1]
    difference = paired_difference(its - new if metric.direction == "higher" else new - its)
    drop = difference.value
    numbers = {
        **{"value": drop, "low": difference.low, "high": difference.high},
        **{"new": float(new.mean()), "reference": float(its.mean())},
    }
    n, m = new.shape
    examples = f"{m:,} test examples{f', {n} seeds' if n > 1 else ''}"
    what = "right" if metric.name == ACCURACY else metric.name
    said = (
        f"{units.percent(numbers['new'] or 0.0, 2)} % {what} against {units.percent(numbers['reference'] or 0.0, 2)} % "
        f"({examples}): {units.points(-drop, 2)} points; {units.percent(limit, 2)} may be lost"
    )
    if drop <= limit + 1e-12:
        return Verdict.OK, f"{said}.", numbers
    exact = metric.counted and n == 1
    chance = _chance(each[0]) if exact else (difference.p if difference.p is not None else 1.0) / 2
    told = f"p = {units.p_value(chance)}".replace("= <", "<")
    if chance < FALSE_ALARM:
        return Verdict.LESS_ACCURATE, f"{said}, and chance does not explain it ({told}).", numbers
    return Verdict.CANNOT_TELL, f"{said}, but this could be chance ({told}, {FALSE_ALARM:g} would tell).", numbers


def _chance(each: NDArray[np.float64]) -> float:
    """How often equal files would differ so, from pseudo-values (2, n) that are 0 or 1, the new file's first."""
    return sign_test(int((each[1] > each[0]).sum()), int((each[0] > each[1]).sum()))


def compared_values(
    metric: Metric, scale: Scale, each: NDArray[np.float64], limit: Allowed, untold: str | None = None
) -> Judged:
    """The verdict on pseudo-values (seeds, 2, n) of a metric that is no share of examples, the new file's first.

    By the 95 % interval of the loss: worse where its low end is beyond what may be lost, ok where its high end is not.
    A loss that is allowed as a share of the reference's value is judged by logarithms. untold: why nothing may be told.
    """
    values = each.mean(axis=2)
    n, _, m = each.shape
    new, its = (float(value) for value in values.mean(axis=0))
    numbers: dict[str, Any] = {"new": new, "reference": its, "limit": limit.amount, "is_relative": limit.is_share}
    examples = f"{m:,} test examples{f', {n} seeds' if n > 1 else ''}"
    said = f"{scale.heading} {scale.said(new)} against {scale.said(its)} ({examples}); {limit.said(scale)} may be lost"
    if np.array_equal(each[:, 0], each[:, 1]):
        return Verdict.OK, f"{said}; every example says the same.", {**numbers, "value": 0.0, "low": 0.0, "high": 0.0}
    if limit.is_share and (values <= 0).any():
        return Verdict.CANNOT_TELL, f"{said}, and of a value of 0 or less there is no share.", numbers
    difference = _loss(scale, each, limit.is_share)
    value, low, high = (_as_shown(end, scale, limit.is_share) for end in
                        (difference.value, difference.low, difference.high))  # fmt: skip
    numbers |= {"value": value, **({"low": low, "high": high} if untold is None else {})}
    if (why := untold or difference.untold) is not None:
        return Verdict.CANNOT_TELL, f"{said}; {why}.", numbers
    if low is None or high is None:
        return Verdict.CANNOT_TELL, f"{said}.", numbers
    if low > limit.amount:
        return Verdict.WORSE, f"{said}, and the whole 95 % interval of the loss is beyond it.", numbers
    if high <= limit.amount + ROUNDING:
        return Verdict.OK, f"{said}.", numbers
    return Verdict.CANNOT_TELL, f"{said}, and the 95 % interval of the loss holds that much and less.", numbers


def _loss(scale: Scale, each: NDArray[np.float64], is_share: bool) -> Difference:
    """How much worse the new file is, from pseudo-values (seeds, 2, n); of a share as a difference of logarithms."""
    lost = losses(each[:, 0], each[:, 1], scale, is_share)
    return examples_difference(lost) if len(lost) < FEWEST else influence_difference(lost, lost)


def _as_shown(loss: float | None, scale: Scale, is_share: bool) -> float | None:
    """A loss on the scale that it was judged on, as a share of the reference where that was logarithms."""
    sign = -1.0 if scale.higher else 1.0
    return loss if loss is None or not is_share else sign * float(np.expm1(sign * loss))
