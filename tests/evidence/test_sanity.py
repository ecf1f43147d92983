"""What a careful colleague would say, on predictions made by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.choose import choose
from kdbench.evidence import Evidence, Finding, evidence
from kdbench.evidence.finding import (
    AT_CHANCE,
    CLASS_MISSING,
    LOSS_DOES_NOT_FALL,
    VALIDATION_ABOVE_TEST,
    WEAK_TEACHER,
)
from kdbench.render.report.page import page
from kdbench.render.verbs.choice_forms import as_text
from kdbench.render.words.sanity_words import cautions
from kdbench.results import records
from kdbench.results.records import Latency, Record, Score, Size, Training

CPU = "local-cpu-1t-fp32"
CLASSES, EXAMPLES = 5, 200
TRUTH = np.arange(EXAMPLES) % CLASSES
Answers = NDArray[np.int_]


def right(rate: float, seed: int = 0) -> Answers:
    """Answers of which this share is right, the wrong ones one class too high."""
    wrong = np.random.default_rng(seed).permutation(EXAMPLES) >= round(rate * EXAMPLES)
    return (TRUTH + wrong) % CLASSES


def guessed(seed: int = 0) -> Answers:
    return np.random.default_rng(seed).permutation(TRUTH)


def folder(
    path: Path,
    cases: Mapping[str, list[Answers]],
    truth: Answers = TRUTH,
    validation: Mapping[str, list[Answers]] | None = None,
    extra: tuple[Record, ...] = (),
    class_names: tuple[str, ...] = ("cat", "dog", "eel", "fox", "gnu"),
) -> Evidence:
    """A results folder: a list of answers a case, one a seed, on the test split and (the same) on validation."""
    path.mkdir()
    students = [name for name in cases if name != "teacher"]
    plan = {
        "suite": "by-hand",
        "baseline": "from-scratch",
        "cases": {name: {"steps": [] if name == "from-scratch" else ["soft_distillation"]} for name in students},
        "targets": [CPU],
    }
    (path / "plan.json").write_text(json.dumps(plan))
    description = {"input_names": ["x"], "input_shapes": [[1]], "class_names": class_names, "example_counts": {}}
    task = {"name": "t", "data_key": "d", "description": description}
    (path / "task.json").write_text(json.dumps(task))
    made = [
        record
        for name, seeds in cases.items()
        for seed, answers in enumerate(seeds)
        for record in _records(path, name, seed, answers, truth, (validation or cases)[name][seed])
    ]
    records.append(path / "records.jsonl", [*made, *extra])
    return evidence(path)


def labels(name: str, seed: int) -> dict[str, Any]:
    return {"suite": "by-hand", "case": name, "seed": seed, "key": f"{name} {seed}", "target": CPU}


def _records(path: Path, name: str, seed: int, answers: Answers, truth: Answers, validation: Answers) -> list[Record]:
    common, file = labels(name, seed), f"{name}-{seed}.npz"
    np.savez(path / file, test=answers, test_targets=truth, validation=validation, validation_targets=TRUTH)
    counts = dict.fromkeys(("parameter_count", "nonzero_parameter_count", "onnx_gzip_bytes", "mac_count"), 1)
    made: list[Record] = [
        Score(
            **common, metric="accuracy", direction="higher", value=float((its == of).mean()),
            correct_count=int((its == of).sum()), example_count=len(of), split=split, runtime="onnxruntime",
            predictions_path=file,
        )
        for split, its, of in (("test", answers, truth), ("validation", validation, TRUTH))
    ]  # fmt: skip
    times = tuple((100_000 + process,) * 64 for process in range(3))
    return [
        *made,
        Size(
            **common, **counts, onnx_bytes=1000, mac_rule="none", quantized_weight_fraction=0.0, onnx_path="m.onnx",
            onnx_sha256="0" * 64,
        ),
        Latency(
            **common, provider_asked="cpu", providers_got=("cpu",), batch_size=1, samples_ns=times,
            runtime="onnxruntime", runtime_version="1", precision="fp32",
        ),
    ]  # fmt: skip


def three(rate: float) -> list[Answers]:
    return [right(rate, seed) for seed in range(3)]


def only(found: Evidence, kind: str) -> Finding:
    (finding,) = [one for one in found.findings if one.kind == kind]
    return finding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_healthy_folder_has_nothing_to_be_said(path: Path) -> None:
    found = folder(path, {"teacher": [right(0.95)], "from-scratch": three(0.9), "soft": three(0.92)})
    assert found.findings == ()


def test_a_case_at_chance_is_said_first_and_never_chosen(path: Path) -> None:
    found = folder(
        path, {"from-scratch": three(0.9), "broken": [guessed(seed) for seed in range(3)], "soft": three(0.91)}
    )
    finding = only(found, AT_CHANCE)
    assert (finding.cases, finding.bars) == (("broken",), True)
    assert "`broken` answers no better than chance" in cautions(found.findings)[0].text
    (device,) = choose(found).devices
    assert device.pick is not None
    assert "broken" in device.excluded
    assert "broken" not in device.shares


def test_one_answer_to_everything_is_named(path: Path) -> None:
    found = folder(path, {"from-scratch": three(0.9), "stuck": [np.full(EXAMPLES, 3)] * 3})
    sentence = only(found, AT_CHANCE).sentence
    assert "20.0 % of the test examples" in sentence
    assert "answers `fox` to every example" in sentence


def test_where_every_case_is_at_chance_nothing_is_chosen(path: Path) -> None:
    found = folder(path, {"from-scratch": [guessed(1)], "soft": [guessed(2)]})
    choice = choose(found)
    assert choice.devices[0].pick is None
    assert choice.exit_code == 4


def test_no_better_than_the_most_frequent_class_is_no_better_than_chance(path: Path) -> None:
    """90 % of the examples are cats: a model that finds some dogs and calls as many cats dogs is right in 88 %."""
    truth = np.where(np.arange(EXAMPLES) < 180, 0, 1)
    answers = truth.copy()
    answers[:14], answers[190:] = 1, 0
    assert (answers == truth).mean() == 0.88
    found = folder(path, {"from-scratch": [answers] * 3}, truth)
    assert only(found, AT_CHANCE).bars
    assert "always answering `cat` gives 90.0 %" in only(found, AT_CHANCE).sentence


def test_better_than_the_most_frequent_class_is_no_guess(path: Path) -> None:
    truth = np.where(np.arange(EXAMPLES) < 180, 0, 1)
    answers = truth.copy()
    answers[190:] = 0
    assert not [one for one in folder(path, {"from-scratch": [answers] * 3}, truth).findings if one.kind == AT_CHANCE]


def test_one_failed_training_of_three_is_said_and_bars_nothing(path: Path) -> None:
    found = folder(path, {"from-scratch": [right(0.9), guessed(), right(0.9, 2)]})
    finding = only(found, AT_CHANCE)
    assert not finding.bars
    assert "seed 1" in finding.sentence


def test_guesses_are_taken_for_guesses_and_weak_models_are_not(path: Path) -> None:
    """5 % of guesses pass for knowledge: of 60 hardly more than 6. Right in 35 %, of 200, is 5 sd above 20 %."""
    guesses = {f"g{seed}": [guessed(seed)] for seed in range(60)}
    weak = {f"w{seed}": [right(0.35, seed)] for seed in range(60)}
    names = {name for one in folder(path, guesses | weak).findings if one.kind == AT_CHANCE for name in one.cases}
    assert len(names & guesses.keys()) >= 54
    assert not names & weak.keys()


def test_classes_in_another_order_are_recognised(path: Path) -> None:
    order = np.array([2, 3, 4, 0, 1])
    found = folder(path, {"teacher": [order[right(0.95)]], "from-scratch": three(0.9)})
    sentence = only(found, AT_CHANCE).sentence
    assert sentence.startswith("The teacher answers no better than chance: ")
    assert "with the classes in another order it would be right in 95.0 %" in sentence


def test_a_teacher_worse_than_the_student_that_learned_without_it(path: Path) -> None:
    found = folder(path, {"teacher": [right(0.7)], "from-scratch": three(0.9), "soft": three(0.75)})
    finding = only(found, WEAK_TEACHER)
    assert not finding.bars
    assert "The teacher is less accurate than `from-scratch`, which learned without it: 70.0 % against 90.0 %" in (
        finding.sentence
    )


def test_a_teacher_as_good_as_its_student_is_not_said(path: Path) -> None:
    found = folder(path, {"teacher": [right(0.9, 7)], "from-scratch": three(0.905)})
    assert not [one for one in found.findings if one.kind == WEAK_TEACHER]


def test_validation_far_above_test(path: Path) -> None:
    cases = {"from-scratch": three(0.56), "int8": three(0.55)}
    found = folder(path, cases, validation={"from-scratch": three(0.85), "int8": three(0.9)})
    finding = only(found, VALIDATION_ABOVE_TEST)
    assert finding.cases == ("from-scratch", "int8")
    assert "`int8` is right in 90.0 % of the validation examples and in 55.0 % of the test examples" in finding.sentence


def test_a_split_without_a_class(path: Path) -> None:
    truth = np.where(TRUTH == 2, 1, TRUTH)
    found = folder(path, {"from-scratch": [truth, truth, truth]}, truth)
    assert "The test split has no example of `eel`" in only(found, CLASS_MISSING).sentence


@pytest.mark.parametrize(
    ("losses", "validation", "stuck"),
    [
        ((1.6, 1.2, 0.8), (0.3, 0.5, 0.7), False),
        ((1.61, 1.62, 1.61), (0.2, 0.21, 0.2), True),
        ((1.6, 2.5, 9.0), (0.3, 0.2, 0.2), True),
        ((1.0, 1.5, 2.0), (0.3, 0.6, 0.9), False),  # a term whose weight grows, while the answers get better
    ],
)
def test_a_loss_that_does_not_fall(
    path: Path, losses: tuple[float, ...], validation: tuple[float, ...], stuck: bool
) -> None:
    training = Training(
        suite="by-hand", case="from-scratch", seed=0, key="from-scratch 0", wall_ns=1, cpu_ns=1, epoch_count=3,
        device="cpu", terms_by_epoch=tuple({"ce": value} for value in losses), validation_by_epoch=validation,
    )  # fmt: skip
    found = folder(path, {"from-scratch": three(0.9)}, extra=(training,))
    assert [one.kind for one in found.findings] == ([LOSS_DOES_NOT_FALL] if stuck else [])


def test_many_findings_of_a_kind_are_told_in_one_sentence(path: Path) -> None:
    cases = {"from-scratch": three(0.9)} | {f"broken-{n}": [guessed(n)] * 3 for n in range(20)}
    (said,) = cautions(folder(path, cases).findings)
    assert "`broken-0` answers no better than chance" in said.text
    assert "The same holds for 19 other cases. They are never chosen." in said.text


def test_the_page_and_the_choice_say_it_at_their_head(path: Path) -> None:
    found = folder(path, {"from-scratch": three(0.9), "broken": [guessed()] * 3, "soft": three(0.9)})
    text = page(found, {}, path, ())
    assert text.index("answers no better than chance") < text.index("The answer")
    assert as_text(choose(found)).startswith("Read this first\n")
