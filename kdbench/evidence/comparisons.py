"""Differences of cases by the task's metric, from their pseudo-values: two of them, or all pairs at once."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError
from kdbench.evidence.answers import Answers, BySeed, alongside, is_untrained, table_of
from kdbench.evidence.differences import (
    Difference,
    examples_difference,
    influence_difference,
    paired_difference,
    seed_difference,
)
from kdbench.evidence.intervals import FEWEST
from kdbench.evidence.pairs import Pairs, crossed_pairs, seed_pairs
from kdbench.protocols.metric import Metric
from kdbench.results.predictions import Predictions
from kdbench.scale import Scale

EDGE = 1e-9
"""How near to 1 a correlation, or a share of variance that is explained, counts as 1."""


def to_teacher(found: BySeed, teacher: BySeed) -> Difference | None:
    """A teacher of one seed answers for every seed of its students; several are paired seed by seed."""
    if len(teacher) == 1:
        return compare(found, dict.fromkeys(found, next(iter(teacher.values()))))
    return compare(found, teacher)


def all_pairs(answers: Sequence[BySeed]) -> Pairs:
    """Half intervals and p of every two cases' difference, as `compare` gives them one by one."""
    count = len(answers)
    found = Pairs(np.full((count, count), np.inf), np.full((count, count), np.nan))
    forms = [_form(by_seed) for by_seed in answers]
    counted = all(one.is_counted for by_seed in answers for one in by_seed.values())
    for form in set(forms) if counted else ():
        places = [place for place, its in enumerate(forms) if its == form]
        table = table_of(alongside([answers[place] for place in places]))
        block = crossed_pairs(table) if form[1] else seed_pairs(table[:, :, 0])
        found.half[np.ix_(places, places)], found.p[np.ix_(places, places)] = block.half, block.p
    for one, other in combinations(range(count), 2):
        alone = forms[one] != forms[other] or not counted
        difference = compare(answers[one], answers[other]) if alone else None
        if difference is not None and difference.half is not None:
            found.half[one, other] = found.half[other, one] = difference.half
            found.p[one, other] = found.p[other, one] = math.nan if difference.p is None else difference.p
    if not counted:
        np.fill_diagonal(found.half, 0.0)
    return found


def _form(by_seed: BySeed) -> tuple[tuple[int, ...], int]:
    """Its seeds, and of how many examples every one of them has stored answers: 0 where they are not all stored.

    What no training made has no seeds.
    """
    counts = {0 if one.pseudo_values is None else len(one.pseudo_values) for one in by_seed.values()}
    return () if is_untrained(by_seed) else tuple(by_seed), counts.pop() if len(counts) == 1 else 0


def compare(one: BySeed, other: BySeed) -> Difference | None:
    """one - other over the seeds they share; None without such a seed.

    Paired on examples too where predictions of the same examples are stored for every seed.
    """
    if is_untrained(one) or is_untrained(other):
        one, other = alongside([one, other])
    seeds = [seed for seed in one if seed in other]
    if not seeds:
        return None
    rows = [row for seed in seeds if (row := _row(one[seed], other[seed])) is not None]
    if len(rows) < len(seeds) or len({len(row) for row in rows}) > 1:
        return seed_difference([one[seed].value - other[seed].value for seed in seeds])
    table, first = np.stack(rows), one[seeds[0]]
    if first.is_counted or first.metric is None or first.predictions is None:
        return paired_difference(table)
    return _of_influences(first.metric, first.predictions, table, [(one[seed], other[seed]) for seed in seeds])


def _of_influences(
    metric: Metric, predictions: Predictions, table: NDArray[np.float64], pairs: Sequence[tuple[Answers, Answers]]
) -> Difference:
    """A difference of a metric that is no share of examples; without p and interval where none may be told."""
    untold = predictions.few if metric.tested else f"{metric.name} is shown and never tested"
    if untold is not None:
        plain = tuple(table.mean(axis=1).tolist())
        return Difference(float(table.mean()), None, None, None, plain, table.shape[1], untold=untold)
    if metric.test_scale == "identity":
        return influence_difference(table, table)
    tested = np.stack([_on_scale(metric, its) - _on_scale(metric, theirs) for its, theirs in pairs])
    return influence_difference(table, tested)


def _on_scale(metric: Metric, answers: Answers) -> NDArray[np.float64]:
    """Pseudo-values (n,) of the value on the scale where its differences are tested."""
    each = answers.pseudo_values
    assert each is not None
    value = float(each.mean())
    if metric.test_scale == "fisher":
        inside = min(max(value, -1 + EDGE), 1 - EDGE)
        return np.asarray(math.atanh(inside) + (each - value) / (1 - inside**2))
    lost = max(1 - value, EDGE)
    return np.asarray(-math.log(lost) + (each - value) / lost)


def _row(one: Answers, other: Answers) -> NDArray[np.float64] | None:
    its, others = one.predictions, other.predictions
    if its is None or others is None:
        return None
    if its.examples != others.examples:
        raise StoreError(
            f"{one.record.case} and {other.record.case}, seed {one.record.seed}, were not tested on the same examples, "
            "so they cannot be compared; run the suite again."
        )
    return its.pseudo_values - others.pseudo_values


def losses(each: NDArray[np.float64], other: NDArray[np.float64], scale: Scale, is_share: bool) -> NDArray[np.float64]:
    """How much worse `each` is than `other`, [seed, example], from pseudo-values; of a share in logarithms.

    A share is one of values above 0.
    """
    tables = [values / values.mean(axis=1, keepdims=True) + np.log(values.mean(axis=1, keepdims=True)) if is_share
              else values for values in (each, other)]  # fmt: skip
    return np.asarray((tables[0] - tables[1]) * (-1.0 if scale.higher else 1.0))


def beyond_p(one: BySeed, other: BySeed, amount: float, is_share: bool, scale: Scale) -> float | None:
    """One-sided p of the hypothesis that `one` loses `amount` or more against `other`; None where nothing can be told.

    Small where it is certain that less is lost. Paired on seeds and examples as `compare` is, on seeds alone where
    predictions are not stored, and with too few seeds over test examples alone.
    """
    if is_untrained(one) or is_untrained(other):
        one, other = alongside([one, other])
    seeds = [seed for seed in one if seed in other]
    tables = [table_of([{seed: by_seed[seed] for seed in seeds}])[0] for by_seed in (one, other)] if seeds else []
    if not tables or tables[0].shape != tables[1].shape:
        return None
    if is_share and any((table.mean(axis=1) <= 0).any() for table in tables):
        return None
    sign = -1.0 if scale.higher else 1.0
    bound = sign * math.log1p(sign * amount) if is_share else amount
    found = _against(losses(tables[0], tables[1], scale, is_share) - bound, one[seeds[0]])
    if found is None or found.p is None:
        return None
    return found.p / 2 if found.value < 0 else 1 - found.p / 2


def _against(table: NDArray[np.float64], first: Answers) -> Difference | None:
    """A table [seed, example] tested against 0; None where there is too little to test."""
    few_seeds, stored = len(table) < FEWEST, table.shape[1] > 1
    if not stored:
        return None if few_seeds else seed_difference(table[:, 0].tolist())
    if first.is_counted or first.metric is None or first.predictions is None:
        return examples_difference(table) if few_seeds else paired_difference(table)
    if not first.metric.tested or first.predictions.few is not None:
        return None
    return examples_difference(table) if few_seeds else influence_difference(table, table)
