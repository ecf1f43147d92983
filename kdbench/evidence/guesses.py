"""Cases and teachers whose answers are guesses: no better than chance, or than one answer to everything.

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
from kdbench.evidence.answers import Answers, BySeed
from kdbench.evidence.finding import AT_CHANCE, Finding, class_name, quoted, row_name, seeds_named
from kdbench.results.folder import Results

REORDERED = 0.5
"""Answers that would be right this often with the classes in another order are no guesses: the order is wrong."""
ONE_SIDED = 1.645
"""Normal quantile of 95 %."""


def guesses(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
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
    predicted, truth = one.predictions.decisions, one.predictions.targets
    count = int(max(predicted.max(), truth.max())) + 1
    table = np.zeros((count, count))
    np.add.at(table, (truth, predicted), 1)
    answered = np.unique(predicted)
    rows, columns = linear_sum_assignment(-table)
    most = int(table.sum(axis=1).argmax())
    return _File(
        rate=one.value,
        constant=float(table[most].sum() / table.sum()),
        constant_name=class_name(results, most),
        is_guess=_is_guess(table),
        only_answer=class_name(results, int(answered[0])) if len(answered) == 1 else None,
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
    constant = f"always answering {quoted(first.constant_name)} gives {units.percent(first.constant)} %"
    who = row_name(results, name)
    if not most:
        return f"{who} is at chance with {seeds_named(seeds)}: those trainings failed, and its mean hides it."
    said = (
        f"{who} answers no better than chance: right in {units.percent(rate)} % of the test examples, where {constant}"
    )
    if len(only) == 1 and first.only_answer is not None:
        said += f"; it answers {quoted(first.only_answer)} to every example"
    reordered = min(file.reordered for file in files)
    if reordered >= max(REORDERED, 2 * first.constant):
        said += (
            f"; with the classes in another order it would be right in {units.percent(reordered)} %, so check theirs"
        )
    if name in results.plan.cases and results.plan.cases[name].given:
        said += "; it starts from weights of a file: were their inputs prepared as the task prepares them"
        return f"{said}?"
    return f"{said}."
