"""Doubts about a results folder that a careful colleague would raise before reading any number in it."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from kdbench import units
from kdbench.evidence.answers import SPLIT, BySeed, answers_by_case
from kdbench.evidence.comparisons import to_teacher
from kdbench.evidence.constant_answers import constant_answers
from kdbench.evidence.differences import Difference
from kdbench.evidence.finding import (
    CLASS_MISSING,
    LOSS_DOES_NOT_FALL,
    UNUSED_WEIGHTS,
    VALIDATION_ABOVE_TEST,
    WEAK_TEACHER,
    Finding,
    quoted,
    row_name,
    seeds_named,
)
from kdbench.evidence.guesses import guesses
from kdbench.evidence.scores import example_noise
from kdbench.evidence.training import Stages
from kdbench.results.folder import Results
from kdbench.results.records import Training
from kdbench.scale import ACCURACY, Scale

VALIDATION = "validation"
FAR = 0.05
"""Validation lies far above test where even the lower end of the difference's interval is above this share of what
values there are: 5 points of a rate."""
STILL_FALLING = 0.01
"""A loss falls when its last epoch lies this share of the first below it."""
MOST = 4
"""Names that a sentence has room for."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Everything that is found in a results folder, what bars a choice first."""
    found: list[Finding] = []
    for target in results.targets:
        tested = answers_by_case(results, target, SPLIT)
        by_accuracy = {name: its for name, its in tested.items() if _is_accuracy(its)}
        others = {name: its for name, its in tested.items() if name not in by_accuracy}
        found += constant_answers(results, target, others)
        found += guesses(results, target, by_accuracy)
        found += _weak_teachers(results, target, tested)
        found += _validation_above_test(results, target, answers_by_case(results, target, VALIDATION), tested)
    found += _missing_classes(results)
    found += _losses(results)
    found += _unused_weights(results)
    return tuple(sorted(found, key=lambda one: not one.bars))


def _is_accuracy(by_seed: BySeed) -> bool:
    """Whether it is judged by shares of right answers, of which more can be said."""
    return all(one.record.metric == ACCURACY for one in by_seed.values())


def _weak_teachers(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
    """Teachers that a student which learned from the labels alone surpasses."""
    scale = results.scale
    for name, by_seed in tested.items():
        case, row = results.plan.cases.get(name), results.teacher_of(name)
        if case is None or case.steps or row is None or row not in tested:
            continue
        difference = to_teacher(by_seed, tested[row])
        noise = None if difference is None else _noise(difference, by_seed, tested[row])
        if difference is None or noise is None or scale.goodness(difference.value) <= noise:
            continue
        theirs, its = (scale.said(_mean(tested[one])) for one in (row, name))
        worse = "is less accurate" if scale.name == ACCURACY else f"has a worse {scale.name}"
        yield Finding(
            WEAK_TEACHER,
            (row, name),
            target,
            f"{row_name(results, row)} {worse} than {quoted(name)}, which learned without it: {theirs} "
            f"against {its}. What is learned from it may be worse than the labels.",
            False,
        )


def _noise(difference: Difference, one: BySeed, other: BySeed) -> float | None:
    """Half the difference's interval; with too few seeds for one that of two values over other examples."""
    if difference.half is not None:
        return difference.half
    noises = [example_noise(by_seed) for by_seed in (one, other)]
    return None if None in noises else math.hypot(*(noise for noise in noises if noise is not None))


def _validation_above_test(
    results: Results, target: str, validated: Mapping[str, BySeed], tested: Mapping[str, BySeed]
) -> Iterator[Finding]:
    """At most one finding a target; its sentence names the case where the two splits lie furthest apart."""
    scale, apart = results.scale, {}
    for name in (name for name in tested if name in validated):
        noises = [example_noise(by_seed[name]) for by_seed in (validated, tested)]
        gap = scale.goodness(_mean(validated[name]) - _mean(tested[name]))
        if None not in noises and gap - math.hypot(*filter(None, noises)) > _far(tested[name]):
            apart[name] = gap
    if not apart:
        return
    worst = max(apart, key=apart.__getitem__)
    others = f", as do {len(apart) - 1} other rows" if len(apart) > 2 else ""
    values = [scale.said(_mean(by_seed[worst])) for by_seed in (validated, tested)]
    said = (
        f"is right in {values[0]} of the validation examples and in {values[1]} of the test examples"
        if scale.name == ACCURACY
        else f"has {scale.article} {scale.name} of {values[0]} on validation and of {values[1]} on test"
    )
    yield Finding(
        VALIDATION_ABOVE_TEST,
        tuple(apart),
        target,
        f"{quoted(worst)} {said}{others}: the weights have seen the validation "
        "examples, or the two splits are not alike. What is chosen by validation may disappoint.",
        False,
    )


def _far(tested: BySeed) -> float:
    """How far is far: a share of the range of values, where that has two ends, else of the value."""
    metric = next(iter(tested.values())).metric
    low, high = (0.0, 1.0) if metric is None else metric.range
    return FAR * (abs(_mean(tested)) if low is None or high is None else high - low)


def _missing_classes(results: Results) -> Iterator[Finding]:
    """Classes of the task that a whole split has no example of."""
    names, told = results.class_names, set()
    for record in results.scores():
        output, whole = results.output(record.output), record.split_example_count in (None, record.example_count)
        if output is None or output.kind != "classes" or record.split in told or not whole:
            continue
        found = results.predictions(record)
        if found is None:
            continue
        told.add(record.split)
        absent = [name for label, name in enumerate(names) if label not in found.targets]
        if absent:
            has = "example of" if len(absent) == 1 else "examples of"
            listed = ", ".join(map(quoted, absent[:MOST])) + (
                f" and {len(absent) - MOST} more" if len(absent) > MOST else ""
            )
            said = f"The {record.split} split has no {has} {listed}, so no number here says how such examples fare."
            yield Finding(CLASS_MISSING, (), None, said, False)


def _losses(results: Results) -> Iterator[Finding]:
    """Students and teachers whose first training ends with as large a loss as it began."""
    by_key, stages = {record.key: record for record in results.of(Training)}, Stages(results)
    stuck: dict[str, dict[int, tuple[float, float]]] = {}
    for name in results.case_names:
        for seed, keys in stages.of(name).items():
            first = next((by_key[key] for key in keys if key in by_key), None)
            if first is not None and (ends := _stuck(first, results.scale)) is not None:
                stuck.setdefault(name, {})[seed] = ends
    for name, by_seed in stuck.items():
        begun, ended = next(iter(by_seed.values()))
        yield Finding(
            LOSS_DOES_NOT_FALL,
            (name,),
            None,
            f"The loss of {quoted(name)} does not fall in training ({seeds_named(list(by_seed))}: "
            f"{units.number(begun, 3)} in the first epoch, {units.number(ended, 3)} in the last): its learning rate, "
            "or the loss itself, is wrong.",
            False,
        )


def _unused_weights(results: Results) -> Iterator[Finding]:
    """Cases whose student names a file of weights, and which train it from new weights all the same."""
    unused = [case for case in results.plan.cases.values() if case.has_unused_weights and not case.given]
    if unused:
        first = unused[0]
        others = f", and so do {len(unused) - 1} other cases" if len(unused) > 1 else ""
        yield Finding(
            UNUSED_WEIGHTS,
            tuple(case.name for case in unused),
            None,
            f"{quoted(first.name)} trains {quoted(first.student)} from new weights{others}: the file of weights that "
            "the student names is not used. `transfer_learning: {source: FILE}` starts from it.",
            False,
        )


def _stuck(record: Training, scale: Scale) -> tuple[float, float] | None:
    """The loss of the first and the last epoch, where neither it nor the metric on validation got better."""
    totals = [sum(terms.values()) for terms in record.terms_by_epoch]
    validation = record.validation_by_epoch
    if len(totals) < 2 or totals[-1] < totals[0] - STILL_FALLING * abs(totals[0]):
        return None
    better = len(validation) > 1 and scale.goodness(validation[-1] - validation[0]) > 0
    return None if better else (totals[0], totals[-1])


def _mean(by_seed: BySeed) -> float:
    return float(np.mean([one.value for one in by_seed.values()]))
