"""Scores of the cases on one target: means, paired differences to the baseline, and who cannot be told from whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kdbench.evidence.answers import BySeed, answers_by_case, is_untrained
from kdbench.evidence.comparisons import all_pairs, compare, to_teacher
from kdbench.evidence.differences import Difference, holm
from kdbench.evidence.groups import letters
from kdbench.evidence.intervals import (
    Estimate,
    example_half,
    example_interval,
    influence_interval,
    mean_interval,
    quantile,
)
from kdbench.evidence.pairs import told_apart
from kdbench.results.folder import Results
from kdbench.results.records import Score
from kdbench.scale import ACCURACY


@dataclass(frozen=True)
class ScoreView:
    """One case on one target."""

    estimate: Estimate
    """Mean over seeds with its interval; of one file that no training made, over test examples alone."""
    difference: Difference | None
    """Its value minus that of its baseline."""
    across: Difference | None
    """Its value minus that of the suite's baseline, for a case that has another baseline: across students of one
    task; adjusted within these comparisons."""
    to_teacher: Difference | None
    """Its value minus its teacher's: every seed is paired with the teacher's answers; unadjusted."""
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


def score_views(results: Results, target: str, records: Sequence[Score] | None = None) -> dict[str, ScoreView]:
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


def _view(
    found: BySeed, difference: Difference | None, across: Difference | None, taught: Difference | None, group: str
) -> ScoreView:
    agreements = [answers.record.teacher_agreement_fraction for answers in found.values()]
    known = [value for value in agreements if value is not None]
    home = [answers.record.home_agreement_fraction for answers in found.values()]
    return ScoreView(
        estimate=_estimate(found),
        difference=difference,
        across=across,
        to_teacher=taught,
        letters=group,
        agreement=float(np.mean(known)) if known else None,
        example_count=max(answers.record.example_count for answers in found.values()),
        example_half=example_noise(found),
        split_example_count=max(answers.record.split_example_count or 0 for answers in found.values()) or None,
        home_agreement=min((value for value in home if value is not None), default=None),
        seeds=tuple(found),
        is_untrained=is_untrained(found),
    )


def example_noise(found: BySeed) -> float | None:
    """Half the interval of a case's value over another draw of as many examples, its files kept; None if unknown."""
    first = next(iter(found.values()))
    count = max(answers.record.example_count for answers in found.values())
    if first.is_counted:
        is_rate = first.metric is not None or first.record.metric == ACCURACY
        rate = float(np.mean([answers.value for answers in found.values()]))
        return example_half(rate, count) if count and is_rate else None
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
