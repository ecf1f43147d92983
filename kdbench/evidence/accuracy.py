"""Accuracy of the cases on one target: means, paired differences to the baseline, and who cannot be told from whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError
from kdbench.evidence.groups import letters
from kdbench.evidence.intervals import (
    FEWEST,
    Difference,
    Estimate,
    example_half,
    example_interval,
    holm,
    influence_difference,
    influence_interval,
    mean_interval,
    paired_difference,
    quantile,
    seed_difference,
)
from kdbench.evidence.pairs import Pairs, crossed_pairs, seed_pairs, told_apart
from kdbench.protocols.metric import Metric
from kdbench.results.folder import Results
from kdbench.results.predictions import Predictions
from kdbench.results.records import Score
from kdbench.scale import ACCURACY

EDGE = 1e-9
"""How near to 1 a correlation, or a share of variance that is explained, counts as 1."""
SPLIT = "test"
"""The split that is reported; validation is for choosing."""


@dataclass(frozen=True)
class AccuracyView:
    """One case on one target."""

    estimate: Estimate
    """Mean over seeds with its interval, as a rate; of one file that no training made, over test examples alone."""
    difference: Difference | None
    """Its accuracy minus that of its baseline, in rates."""
    across: Difference | None
    """Its accuracy minus that of the suite's baseline, for a case that has another baseline: across students of one
    task; in rates, adjusted within these comparisons."""
    to_teacher: Difference | None
    """Its accuracy minus its teacher's, in rates: every seed is paired with the teacher's answers; unadjusted."""
    letters: str
    """Cases that share a letter cannot be told apart; empty for the teacher and where there is no interval."""
    agreement: float | None
    """Mean share of test examples on which it and the teacher give the same class."""
    example_count: int
    example_half: float | None
    """Half the interval over another draw of as many test examples, these files kept; None where it is unknown."""
    split_example_count: int | None
    """How many examples the whole split has, where a device answered a sample of it."""
    home_agreement: float | None
    """On a device: share of its examples with the class that was given where its files came from; the least of all
    seeds."""
    seeds: tuple[int, ...]
    is_untrained: bool
    """Whether nothing was trained in it, so that its one file stands for every seed."""


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


def accuracy_views(results: Results, target: str, records: Sequence[Score] | None = None) -> dict[str, AccuracyView]:
    """Every case with a value on the target, in the results' order.

    records: of another metric than the one that decides.
    """
    by_case = answers_by_case(results, target, records=records)
    differences, across = _to_baseline(results, by_case), _across(results, by_case)
    groups = _groups({case: found for case, found in by_case.items() if results.teacher_of(case) is not None})
    rows = {case: row for case in by_case if (row := results.teacher_of(case)) is not None}
    taught = {case: to_teacher(by_case[case], by_case.get(row, {})) for case, row in rows.items()}
    return {
        case: _view(found, differences.get(case), across.get(case), taught.get(case), groups.get(case, ""))
        for case, found in by_case.items()
    }


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


def _view(
    found: BySeed, difference: Difference | None, across: Difference | None, taught: Difference | None, group: str
) -> AccuracyView:
    agreements = [answers.record.teacher_agreement_fraction for answers in found.values()]
    known = [value for value in agreements if value is not None]
    home = [answers.record.home_agreement_fraction for answers in found.values()]
    estimate = _estimate(found)
    return AccuracyView(
        estimate=estimate,
        difference=difference,
        across=across,
        to_teacher=taught,
        letters=group,
        agreement=float(np.mean(known)) if known else None,
        example_count=max(answers.record.example_count for answers in found.values()),
        example_half=_example_half(found, estimate),
        split_example_count=max(answers.record.split_example_count or 0 for answers in found.values()) or None,
        home_agreement=min((value for value in home if value is not None), default=None),
        seeds=tuple(found),
        is_untrained=is_untrained(found),
    )


def _example_half(found: BySeed, estimate: Estimate) -> float | None:
    first = next(iter(found.values()))
    count = max(answers.record.example_count for answers in found.values())
    if first.is_counted:
        is_rate = first.metric is not None or first.record.metric == ACCURACY
        return example_half(estimate.value, count) if count and is_rate else None
    each = first.pseudo_values
    return quantile(math.inf) * float(np.std(each)) / math.sqrt(count) if each is not None and count else None


def _estimate(found: BySeed) -> Estimate:
    first = next(iter(found.values()))
    if is_untrained(found) and first.pseudo_values is not None:
        if first.is_counted or first.metric is None:
            return example_interval(first.value, first.pseudo_values)
        if first.metric.tested and first.predictions and first.predictions.few is None:
            return influence_interval(first.value, first.pseudo_values, first.metric.lone_scale == "logit")
        return Estimate(first.value, None, None, (first.value,))
    return mean_interval([answers.value for answers in found.values()])


def to_teacher(found: BySeed, teacher: BySeed) -> Difference | None:
    """A teacher of one seed answers for every seed of its students; several are paired seed by seed."""
    if len(teacher) == 1:
        return compare(found, dict.fromkeys(found, next(iter(teacher.values()))))
    return compare(found, teacher)


def _to_baseline(results: Results, by_case: Mapping[str, BySeed]) -> dict[str, Difference]:
    """Every case's difference to its baseline, adjusted within the comparisons with the same baseline."""
    found: dict[str, dict[str, Difference]] = {}
    for name, case in results.plan.cases.items():
        baseline = results.plan.baseline_of(case)
        if baseline is not None and baseline in by_case and name in by_case and baseline != name:
            difference = compare(by_case[name], by_case[baseline])
            if difference is not None:
                found.setdefault(baseline, {})[name] = difference
    return {name: difference for family in found.values() for name, difference in _adjusted(family).items()}


def _across(results: Results, by_case: Mapping[str, BySeed]) -> dict[str, Difference]:
    """The difference to the suite's baseline of every case that is compared with another one."""
    suites = results.plan.baseline
    others = {name for name, case in results.plan.cases.items() if results.plan.baseline_of(case) != suites}
    found = {name: compare(by_case[name], by_case[suites]) for name in others & by_case.keys() if suites in by_case}
    return _adjusted({name: difference for name, difference in found.items() if difference is not None})


def _adjusted(family: dict[str, Difference]) -> dict[str, Difference]:
    p_values = holm([difference.p for difference in family.values()])
    return {
        name: replace(difference, adjusted_p=p) for (name, difference), p in zip(family.items(), p_values, strict=True)
    }


def _groups(by_case: Mapping[str, BySeed]) -> dict[str, str]:
    """Letters over all pairs of cases, adjusted in a family of their own; best mean first."""
    names = sorted(by_case, key=lambda name: -_goodness(by_case[name]))
    p = all_pairs([by_case[name] for name in names]).p
    return {} if np.isnan(p[np.triu_indices(len(names), 1)]).all() else letters(names, told_apart(p))


def _goodness(by_seed: BySeed) -> float:
    """The mean over seeds, the larger the better."""
    mean = float(np.mean([answers.value for answers in by_seed.values()]))
    return mean if next(iter(by_seed.values())).record.direction == "higher" else -mean


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


def table_of(answers: Sequence[BySeed]) -> NDArray[np.float64]:
    """[case, seed, example]: pseudo-values; the value in place of the examples where those are not all stored.

    All cases have the same seeds.
    """
    rows = [[one.pseudo_values for _, one in sorted(by_seed.items())] for by_seed in answers]
    stored = [row for seeds in rows for row in seeds if row is not None]
    if len(stored) == sum(map(len, rows)) and len({row.shape for row in stored}) == 1:
        return np.asarray(rows, dtype=np.float64)
    return np.asarray([[[one.value] for _, one in sorted(by_seed.items())] for by_seed in answers])


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
