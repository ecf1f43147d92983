"""Doubts about a results folder that a careful colleague would raise before reading any number in it.

Sources
Cohen 1960: agreement that chance alone gives two sets of answers, from their margins.
Fleiss, Cohen, Everitt 1969 (Psychological Bulletin 72): its variance where answers and truth have nothing in common.
Kuhn 1955: the order of classes under which answers are right most often.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]  # untyped in scipy 1.17

from kdbench import units
from kdbench.evidence.accuracy import SPLIT, Answers, BySeed, answers_by_case, to_teacher
from kdbench.evidence.intervals import Difference, example_half
from kdbench.evidence.training import Stages
from kdbench.results.folder import Results
from kdbench.results.records import TEACHER, Accuracy, Training

AT_CHANCE = "at chance"
WEAK_TEACHER = "teacher worse than its student"
VALIDATION_ABOVE_TEST = "validation above test"
CLASS_MISSING = "class missing"
LOSS_DOES_NOT_FALL = "loss does not fall"
UNUSED_WEIGHTS = "weights not used"
VALIDATION = "validation"
FAR = 0.05
"""Validation lies far above test where even the lower end of the difference's interval is above this rate."""
REORDERED = 0.5
"""Answers that would be right this often with the classes in another order are no guesses: the order is wrong."""
ONE_SIDED = 1.645
"""Normal quantile of 95 %."""
STILL_FALLING = 0.01
"""A loss falls when its last epoch lies this share of the first below it."""
MOST = 4
"""Names that a sentence has room for."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    cases: tuple[str, ...]
    """The cases and teachers that it concerns; empty where it concerns the data."""
    target: str | None
    """Where; None where it does not depend on the target."""
    sentence: str
    """Names stand in backticks."""
    bars: bool
    """Whether `kdbench choose` never picks these cases on this target."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Everything that is found in a results folder, what bars a choice first."""
    found: list[Finding] = []
    for target in results.targets:
        tested = _classified(answers_by_case(results, target, SPLIT))
        found += _guesses(results, target, tested)
        found += _weak_teachers(results, target, tested)
        found += _validation_above_test(target, _classified(answers_by_case(results, target, VALIDATION)), tested)
    found += _missing_classes(results)
    found += _losses(results)
    found += _unused_weights(results)
    return tuple(sorted(found, key=lambda one: not one.bars))


def _classified(found: Mapping[str, BySeed]) -> dict[str, BySeed]:
    """The cases whose metric is accuracy; the doubts below are about shares of right answers."""
    return {name: by_seed for name, by_seed in found.items() if all(_is_accuracy(one) for one in by_seed.values())}


def _is_accuracy(one: Answers) -> bool:
    return one.record.metric == "accuracy"


def _guesses(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
    """Cases and teachers whose answers are those of chance, or whose rate one constant answer reaches."""
    constant = _constant_rate(results, tested)
    for name, by_seed in tested.items():
        if constant is not None and all(_is_clear(one, constant) for one in by_seed.values()):
            continue
        files = [_file(results, one) for one in by_seed.values()]
        known = [file for file in files if file is not None]
        guessing = [seed for seed, file in zip(by_seed, files, strict=True) if file is not None and file.is_guess]
        if not guessing and not _below_constant(known):
            continue
        most = 2 * len(guessing) > len(known) or _below_constant(known)
        yield Finding(AT_CHANCE, (name,), target, _guess_sentence(results, name, known, guessing, most), most)


def _constant_rate(results: Results, tested: Mapping[str, BySeed]) -> float | None:
    """How often the most frequent class is right, by the first file whose predictions are stored."""
    for by_seed in tested.values():
        for one in by_seed.values():
            if (found := one.predictions) is not None:
                return float(np.bincount(found.targets).max() / len(found.targets))
    return None


def _is_clear(one: Answers, constant: float) -> bool:
    """Whether a rate lies so far above a constant answer's that its predictions need not be read: by 3 sd."""
    return one.value - 3 * math.sqrt(0.25 / one.record.example_count) > constant


@dataclass(frozen=True)
class _File:
    """How right one file is on the test split, beside answers that need no model at all."""

    rate: float
    constant: float
    """How often the most frequent class is right."""
    constant_name: str
    is_guess: bool
    """Whether its answers have no more in common with the truth than chance gives them."""
    only_answer: str | None
    """The class it gives to every example."""
    reordered: float
    """Its rate with the classes in the order that fits its answers best."""


def _file(results: Results, one: Answers) -> _File | None:
    """None where its predictions are not stored."""
    if one.predictions is None:
        return None
    predicted, truth = one.predictions.outputs, one.predictions.targets
    count = int(max(predicted.max(), truth.max())) + 1
    table = np.zeros((count, count))
    np.add.at(table, (truth, predicted), 1)
    answered = np.unique(predicted)
    rows, columns = linear_sum_assignment(-table)
    most = int(table.sum(axis=1).argmax())
    return _File(
        rate=one.value,
        constant=float(table[most].sum() / table.sum()),
        constant_name=_class_name(results, most),
        is_guess=_is_guess(table),
        only_answer=_class_name(results, int(answered[0])) if len(answered) == 1 else None,
        reordered=float(table[rows, columns].sum() / table.sum()),
    )


def _is_guess(table: NDArray[np.float64]) -> bool:
    """Whether truth and answer agree no more often than chance, from counts [truth, answer]; one-sided, at 5 %.

    Chance agrees in e = sum of truth_k answer_k (shares); over n examples that has the variance
    (e + e^2 - sum of truth_k answer_k (truth_k + answer_k)) / n (Fleiss, Cohen, Everitt 1969).
    """
    shares = table / table.sum()
    truth, answer = shares.sum(axis=1), shares.sum(axis=0)
    expected = float(truth @ answer)
    variance = (expected + expected**2 - float((truth * answer) @ (truth + answer))) / table.sum()
    return float(np.trace(shares)) - expected <= ONE_SIDED * math.sqrt(max(variance, 0.0))


def _below_constant(files: Sequence[_File]) -> bool:
    return bool(files) and sum(file.rate - file.constant for file in files) <= 0


def _guess_sentence(results: Results, name: str, files: Sequence[_File], seeds: Sequence[int], most: bool) -> str:
    rate, first = float(np.mean([file.rate for file in files])), files[0]
    only = {file.only_answer for file in files}
    constant = f"always answering {_quoted(first.constant_name)} gives {units.percent(first.constant)} %"
    who = _row(results, name)
    if not most:
        return f"{who} is at chance with {_seeds(seeds)}: those trainings failed, and its mean hides it."
    said = (
        f"{who} answers no better than chance: right in {units.percent(rate)} % of the test examples, where {constant}"
    )
    if len(only) == 1 and first.only_answer is not None:
        said += f"; it answers {_quoted(first.only_answer)} to every example"
    reordered = min(file.reordered for file in files)
    if reordered >= max(REORDERED, 2 * first.constant):
        said += (
            f"; with the classes in another order it would be right in {units.percent(reordered)} %, so check theirs"
        )
    if name in results.plan.cases and results.plan.cases[name].given:
        said += "; it starts from weights of a file: were their inputs prepared as the task prepares them"
        return f"{said}?"
    return f"{said}."


def _weak_teachers(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
    """Teachers that a student which learned from the labels alone surpasses."""
    for name, by_seed in tested.items():
        case, row = results.plan.cases.get(name), results.teacher_of(name)
        if case is None or case.steps or row is None or row not in tested:
            continue
        difference = to_teacher(by_seed, tested[row])
        if difference is None or difference.value <= _noise(difference, by_seed, tested[row]):
            continue
        theirs, its = (units.percent(_rate(tested[one])) for one in (row, name))
        yield Finding(
            WEAK_TEACHER,
            (row, name),
            target,
            f"{_row(results, row)} is less accurate than {_quoted(name)}, which learned without it: {theirs} % against "
            f"{its} %. What is learned from it may be worse than the labels.",
            False,
        )


def _noise(difference: Difference, one: BySeed, other: BySeed) -> float:
    """Half the difference's interval; with too few seeds for one that of two rates over other test examples."""
    if difference.half is not None:
        return difference.half
    return math.hypot(*(_example_noise(by_seed) for by_seed in (one, other)))


def _example_noise(by_seed: BySeed) -> float:
    return example_half(_rate(by_seed), max(one.record.example_count for one in by_seed.values()))


def _validation_above_test(
    target: str, validated: Mapping[str, BySeed], tested: Mapping[str, BySeed]
) -> Iterator[Finding]:
    """At most one finding a target; its sentence names the case where the two splits lie furthest apart."""
    apart = {
        name: gap
        for name in tested
        if name in validated
        and (gap := _rate(validated[name]) - _rate(tested[name]))
        - math.hypot(_example_noise(validated[name]), _example_noise(tested[name]))
        > FAR
    }
    if not apart:
        return
    worst = max(apart, key=apart.__getitem__)
    others = f", as do {len(apart) - 1} other rows" if len(apart) > 2 else ""
    yield Finding(
        VALIDATION_ABOVE_TEST,
        tuple(apart),
        target,
        f"{_quoted(worst)} is right in {units.percent(_rate(validated[worst]))} % of the validation examples and in "
        f"{units.percent(_rate(tested[worst]))} % of the test examples{others}: the weights have seen the validation "
        "examples, or the two splits are not alike. What is chosen by validation may disappoint.",
        False,
    )


def _missing_classes(results: Results) -> Iterator[Finding]:
    """Classes of the task that a whole split has no example of."""
    names, told = results.class_names, set()
    for record in results.of(Accuracy):
        if not names or record.split in told or record.split_example_count not in (None, record.example_count):
            continue
        found = results.predictions(record)
        if found is None:
            continue
        told.add(record.split)
        absent = [name for label, name in enumerate(names) if label not in found.targets]
        if absent:
            has = "example of" if len(absent) == 1 else "examples of"
            listed = ", ".join(map(_quoted, absent[:MOST])) + (
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
            if first is not None and (ends := _stuck(first)) is not None:
                stuck.setdefault(name, {})[seed] = ends
    for name, by_seed in stuck.items():
        begun, ended = next(iter(by_seed.values()))
        yield Finding(
            LOSS_DOES_NOT_FALL,
            (name,),
            None,
            f"The loss of {_quoted(name)} does not fall in training ({_seeds(list(by_seed))}: "
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
            f"{_quoted(first.name)} trains {_quoted(first.student)} from new weights{others}: the file of weights that "
            "the student names is not used. `transfer_learning: {source: FILE}` starts from it.",
            False,
        )


def _stuck(record: Training) -> tuple[float, float] | None:
    """The loss of the first and the last epoch, where neither it nor the validation accuracy got better."""
    totals = [sum(terms.values()) for terms in record.terms_by_epoch]
    validation = record.validation_by_epoch
    if len(totals) < 2 or totals[-1] < totals[0] - STILL_FALLING * abs(totals[0]):
        return None
    return None if len(validation) > 1 and validation[-1] > validation[0] else (totals[0], totals[-1])


def _rate(by_seed: BySeed) -> float:
    return float(np.mean([one.value for one in by_seed.values()]))


def _class_name(results: Results, label: int) -> str:
    names = results.class_names
    return names[label] if label < len(names) else f"class {label}"


def _row(results: Results, name: str) -> str:
    """How a sentence begins with a row's name."""
    if name not in results.plan.teachers:
        return _quoted(name)
    return "The teacher" if name == TEACHER else f"The teacher {_quoted(name)}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', chr(39))}`"
