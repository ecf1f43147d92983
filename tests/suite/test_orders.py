"""Which orders of steps make sense: those that do not are refused where they stand, with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import SuiteError
from kdbench.suite.cases import Suite
from kdbench.suite.reader import load

FIELDS: dict[str, dict[str, Any]] = {
    "structured_pruning": {"channel_fraction": 0.5},
    "unstructured_pruning": {"weight_fraction": 0.5},
    "low_rank": {"mac_fraction": 0.5},
    "weight_sharing": {"bits": 4},
    "teacher_assistant": {"assistants": ["cnn"]},
}
ROUNDED = "its numbers are rounded to fewer bits already, and that is done once; leave one of the two out."
RANGES = "its rounding ranges belong to the layers and weights they were learned with; move it up."
OVER = "it starts over, so what was done before it would be lost, or be in one network only; put it first."
FORGOTTEN = "it trains through a whole recipe, in which what the teacher taught is lost; leave one of the two out."
FILLED = "its training fills the zeros again; move it up."
SPREAD = "its training spreads the shared weights apart again; move it up."


def named(*steps: str) -> list[Any]:
    return [{name: FIELDS[name]} if name in FIELDS else name for name in steps]


def loaded(folder: Path, **cases: list[Any]) -> Suite:
    data = {
        "kdbench": 1,
        "name": "s",
        "task": "digits",
        "seeds": [0],
        "recipes": {"train": {"epochs": 2}, "finetune": {"epochs": 1}},
        "teacher": {"model": {"cnn": {"channels": [32, 64]}}},
        "student": {"model": "cnn"},
        "baseline": "from-scratch",
        "cases": {"from-scratch": [], **cases},
        "measure": [{"provider": "cpu"}],
    }
    path = folder / "s.yaml"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")  # JSON is YAML 1.2
    return load(path)


def refusals(folder: Path, **cases: list[Any]) -> list[str]:
    """The lines of the message, without the file's folder."""
    with pytest.raises(SuiteError) as error:
        loaded(folder, **cases)
    return [line.removeprefix(f"{folder}/") for line in str(error.value).splitlines()]


@pytest.mark.parametrize(
    ("earlier", "later", "reason"),
    [
        ("quantization_aware_training", "structured_pruning", RANGES),
        ("quantization_aware_training", "unstructured_pruning", RANGES),
        ("quantization_aware_training", "low_rank", RANGES),
        ("quantization_aware_training", "weight_sharing", RANGES),
        ("quantization_aware_training", "transfer_learning", OVER),
        ("quantization_aware_training", "quantization_aware_training", ROUNDED),
        ("quantization_aware_training", "static_quantization", ROUNDED),
        ("quantization_aware_training", "half_precision", ROUNDED),
        ("static_quantization", "static_quantization", ROUNDED),
        ("dynamic_quantization", "static_quantization", ROUNDED),
        ("half_precision", "weight_only_quantization", ROUNDED),
        ("structured_pruning", "transfer_learning", OVER),
        ("soft_distillation", "transfer_learning", OVER),
        ("structured_pruning", "born_again", OVER),
        ("soft_distillation", "deep_mutual_learning", OVER),
        ("soft_distillation", "label_smoothing", FORGOTTEN),
        ("fitnet", "longer_training", FORGOTTEN),
        ("deep_mutual_learning", "teacher_free", FORGOTTEN),
        ("soft_distillation", "teacher_assistant", FORGOTTEN),
        ("unstructured_pruning", "soft_distillation", FILLED),
        ("unstructured_pruning", "structured_pruning", FILLED),
        ("unstructured_pruning", "quantization_aware_training", FILLED),
        ("weight_sharing", "soft_distillation", SPREAD),
        ("weight_sharing", "unstructured_pruning", SPREAD),
        (
            "weight_sharing",
            "batchnorm_reestimation",
            "export multiplies its new statistics into the shared weights, which parts them again; move it up.",
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(
    tmp_path: Path, earlier: str, later: str, reason: str
) -> None:
    (line,) = refusals(tmp_path, x=named(earlier, later))
    place, _, message = line.partition(": cases.x.1: ")
    assert place.startswith("s.yaml:")
    assert message == f"{later} makes no sense after {earlier}: {reason}"


@pytest.mark.parametrize(
    "steps",
    [
        ("soft_distillation", "structured_pruning", "static_quantization"),
        ("structured_pruning", "soft_distillation", "static_quantization"),
        ("transfer_learning", "soft_distillation", "structured_pruning", "quantization_aware_training"),
        ("quantization_aware_training", "soft_distillation"),
        ("quantization_aware_training", "batchnorm_reestimation"),
        ("structured_pruning", "unstructured_pruning", "batchnorm_reestimation", "static_quantization"),
        ("unstructured_pruning", "unstructured_pruning"),
        ("unstructured_pruning", "weight_sharing", "static_quantization"),
        ("low_rank", "quantization_aware_training"),
        ("structured_pruning", "structured_pruning"),
        ("fitnet", "soft_distillation"),
        ("structured_pruning", "teacher_assistant"),
        ("transfer_learning", "label_smoothing"),
    ],
)
def test_an_order_that_makes_sense_is_taken(tmp_path: Path, steps: tuple[str, ...]) -> None:
    assert tuple(step.spec.name for step in loaded(tmp_path, x=named(*steps)).cases["x"].steps) == steps


def test_steps_that_need_not_be_neighbours_are_told_with_their_line(tmp_path: Path) -> None:
    chain = named("unstructured_pruning", "batchnorm_reestimation", "soft_distillation")
    (line,) = refusals(tmp_path, x=chain)
    number = int(line.split(":")[1])
    assert "soft_distillation" in (tmp_path / "s.yaml").read_text().splitlines()[number - 1]


def test_all_senseless_orders_of_a_suite_are_told_at_once_and_those_of_a_grid_once(tmp_path: Path) -> None:
    pruned = {"structured_pruning": {"channel_fraction": {"grid": [0.3, 0.5]}}}
    lines = refusals(
        tmp_path, one=[pruned, "transfer_learning"], two=named("static_quantization", "dynamic_quantization")
    )
    assert [line.partition("cases.")[2].partition(": ")[0] for line in lines] == ["one.1", "two.1"]


def test_what_trains_nothing_fills_no_zeros(tmp_path: Path) -> None:
    untrained = {"structured_pruning": {"channel_fraction": 0.5, "finetuned": False}}
    loaded(tmp_path, x=[*named("unstructured_pruning"), untrained])


OWN = '''
"""Two techniques of a user's own."""
from kdbench.protocols import Technique

class Widen(Technique):
    """Surgery that nobody here has heard of."""
    effects = frozenset({"surgery"})
    roles = frozenset()

    def apply(self, model, ctx):
        return model

class Last(Technique):
    """Refuses for a reason of its own."""
    roles = frozenset()

    def apply(self, model, ctx):
        return model

    def refuses_after(self, earlier):
        return "one widening is one too many; leave it out." if "surgery" in earlier.effects else None
'''


def test_new_weights_for_a_pruned_shape_need_the_students_own_layers(tmp_path: Path) -> None:
    """Pruning leaves every layer its name; of other surgery nobody knows."""
    (tmp_path / "own.py").write_text(OWN)
    renewed = {"structured_pruning": {"channel_fraction": 0.5, "reinitialize": True}}
    loaded(tmp_path, x=[*named("structured_pruning"), renewed], y=[*named("soft_distillation"), renewed])
    (line,) = refusals(tmp_path, x=["./own.py:Widen", renewed])
    assert line.endswith("reinitialize takes new weights from the student as it was built; put it first.")


def test_a_technique_of_a_users_own_file_is_refused_by_its_effects_and_by_its_own_reasons(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    lines = refusals(tmp_path, x=["quantization_aware_training", "./own.py:Widen", "./own.py:Last"])
    assert lines[0].endswith(f"cases.x.1: ./own.py:Widen makes no sense after quantization_aware_training: {RANGES}")
    assert lines[-1].endswith(
        "./own.py:Last makes no sense after ./own.py:Widen: one widening is one too many; leave it out."
    )
