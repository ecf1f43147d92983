"""Doubts that do not depend on shares of right answers: by the metric's own direction and scale."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.evidence.answers import Answers, BySeed
from kdbench.evidence.constant_answers import constant_answers
from kdbench.evidence.finding import AT_CHANCE, VALIDATION_ABOVE_TEST, WEAK_TEACHER, Finding
from kdbench.evidence.sanity import _validation_above_test, _weak_teachers
from kdbench.measure.decisions import decide
from kdbench.protocols import Output
from kdbench.protocols.metric import metric_named
from kdbench.results.predictions import Predictions
from kdbench.results.records import Score
from kdbench.scale import Scale

NUMBERS = Output(kind="values", axes=(1,), unit="MW", metrics=("rmse",))
TWO = Output(axes=(2,), class_names=("no", "yes"))
PLACES = Output(kind="embedding", axes=(8,))
DRAW = np.random.default_rng(0)


class Folder:
    """As much of a results folder as the doubts ask for."""

    def __init__(self, name: str, output: Output) -> None:
        metric = metric_named(name).judging(output)
        self.metric, self.name = metric, name
        self.scale = Scale.of(metric.name, metric.unit, metric.unit_name, metric.direction)
        self.plan = self
        self.teachers = {"teacher": None}
        self.cases = {"from-scratch": type("Case", (), {"steps": ()})(), "teacher": None}

    def teacher_of(self, name: str) -> str | None:
        return None if name == "teacher" else "teacher"

    def answered(self, *outputs: Any, targets: Any) -> BySeed:
        """Seed -> what a file answered."""
        return {seed: self._file(seed, given, targets) for seed, given in enumerate(outputs)}

    def _file(self, seed: int, given: Any, targets: Any) -> Answers:
        decided = decide(self.metric.output.kind, given)
        found = Predictions(Path("p"), decided, targets, given, self.metric)
        record = Score(
            suite="s", case="c", seed=seed, key="k", metric=self.name, direction=self.metric.direction, unit="",
            value=found.value, example_count=len(targets), split="test", runtime="r",
        )  # fmt: skip
        return Answers(record, found)


def errors(spread: float, count: int = 300) -> np.ndarray:
    return (spread * DRAW.normal(size=(count, 1))).astype(np.float32)


def test_a_teacher_with_larger_errors_than_the_student_that_learned_without_it() -> None:
    folder, true = Folder("rmse", NUMBERS), errors(6)
    student = folder.answered(*(true + errors(1) for _ in range(3)), targets=true)
    for spread, said in ((3.0, True), (0.5, False), (1.0, False)):
        teacher = folder.answered(true + errors(spread), targets=true)
        found = list(_weak_teachers(folder, "t", {"from-scratch": student, "teacher": teacher}))  # type: ignore[arg-type]
        assert [one.kind for one in found] == ([WEAK_TEACHER] if said else [])
    teacher = folder.answered(true + 3, targets=true)
    (finding,) = _weak_teachers(folder, "t", {"from-scratch": student, "teacher": teacher})  # type: ignore[arg-type]
    assert finding.sentence.startswith(
        "The teacher has a worse RMSE than `from-scratch`, which learned without it: 3.00 MW"
    )


def test_errors_far_below_those_on_test() -> None:
    folder, true = Folder("rmse", NUMBERS), errors(6)
    tested = {"from-scratch": folder.answered(*(true + errors(2) for _ in range(3)), targets=true)}

    def found(spread: float) -> list[Finding]:
        validated = {"from-scratch": folder.answered(*(true + errors(spread) for _ in range(3)), targets=true)}
        return list(_validation_above_test(folder, "t", validated, tested))  # type: ignore[arg-type]

    assert found(2.0) == []
    assert found(4.0) == []  # worse on validation than on test
    (finding,) = found(1.0)
    assert finding.kind == VALIDATION_ABOVE_TEST
    # what was drawn before, by tests of the same process, decides the third digit
    told = re.search(r"`from-scratch` has an RMSE of ([\d.]+) MW on validation and of ([\d.]+) MW", finding.sentence)
    assert told is not None
    assert [float(value) for value in told.groups()] == [pytest.approx(1, abs=0.1), pytest.approx(2, abs=0.2)]


def test_scores_that_are_as_good_as_how_frequent_classes_are() -> None:
    """Chance: 1/2 of an AUC; of a log loss the entropy, -0.3 ln 0.3 - 0.7 ln 0.7 = 0.611 nats."""
    truth = (np.arange(400) % 10 < 3).astype(np.int32)
    blind = np.stack([np.zeros(400), DRAW.normal(size=400) - 3], axis=1)
    seeing = np.stack([np.zeros(400), 3.0 * truth - 1.5], axis=1)
    for name, value in (("auc", "50.0 %"), ("log_loss", "0.611")):
        folder = Folder(name, TWO)
        blinded = folder.answered(blind if name == "log_loss" else 0 * blind, targets=truth)
        tested = {"from-scratch": folder.answered(seeing, targets=truth), "teacher": blinded}
        (finding,) = constant_answers(folder, "t", tested)  # type: ignore[arg-type]
        assert (finding.kind, finding.cases, finding.bars) == (AT_CHANCE, ("teacher",), True)
        assert f"always answering how frequent classes are gives {value}" in finding.sentence


@pytest.mark.parametrize("blind", [True, False])
def test_embeddings_at_random(blind: bool) -> None:
    folder, ids = Folder("recall_at_1", PLACES), np.arange(240) // 6
    centres = DRAW.normal(size=(40, 8))[ids]
    places = (0 if blind else centres) + DRAW.normal(size=(240, 8))
    found = list(constant_answers(folder, "t", {"from-scratch": folder.answered(places, targets=ids)}))  # type: ignore[arg-type]
    assert bool(found) == blind
    if blind:
        assert "no better than chance: recall@1" in found[0].sentence
        assert "where the best of 19 that answer at random gives" in found[0].sentence
