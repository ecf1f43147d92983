"""Students that come with weights, as a suite file says them and as the plan takes them."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from kdbench.errors import SuiteError
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.suite.reader import load
from kdbench.suite.targets import interpreters_of
from kdbench.timing import probe

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 4, *, classes: int = 10):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.body(x))

def make_net(width: int):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
"""
HEAD = "kdbench: 1\nname: mine\ntask: digits\n"
MEASURE = "measure: [{provider: cpu}]\n"
GIVEN = "student: {model: {net.py:Net: {width: 6}}, weights: net.pt}\n"
RECIPES = "recipes: {finetune: {epochs: 1}, train: {epochs: 1}}\n"


def weights(width: int) -> dict[str, torch.Tensor]:
    body, head = nn.Linear(64, width), nn.Linear(width, 10)
    return {
        "body.1.weight": body.weight.detach(), "body.1.bias": body.bias.detach(),
        "head.weight": head.weight.detach(), "head.bias": head.bias.detach(),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    torch.save(weights(6), tmp_path / "net.pt")
    return tmp_path


def written(folder: Path, *parts: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(HEAD + "".join(parts) + MEASURE)
    return path


def planned(folder: Path, *parts: str) -> Plan:
    suite = load(written(folder, *parts))
    return make_plan(suite, probe.machine(*interpreters_of(suite.measure)))


def kinds(plan: Plan) -> set[str]:
    return {spec.kind for spec in plan.stages.values()}


def seeds(plan: Plan) -> dict[str, list[int]]:
    found: dict[str, dict[int, None]] = {}
    for label in plan.labels:
        found.setdefault(label.case, {})[label.seed] = None
    return {case: list(its) for case, its in found.items()}


def test_what_trains_nothing_needs_no_recipe_and_no_seed_and_has_one_row(folder: Path) -> None:
    plan = planned(folder, GIVEN, "cases: {half: [half_precision], int8: [static_quantization]}\n")
    assert seeds(plan) == {"as-given": [0], "half": [0], "int8": [0]}
    assert "train" not in kinds(plan)
    assert plan.suite.baseline == "as-given"
    assert set(plan.references.values()) == {"as-given"}


def test_what_fine_tunes_goes_on_from_the_given_weights_over_the_suites_seeds(folder: Path) -> None:
    cases = "cases: {half: [half_precision], qat: [quantization_aware_training]}\n"
    plan = planned(folder, "seeds: [3, 4]\n", RECIPES, GIVEN, cases)
    assert seeds(plan) == {"as-given": [3], "half": [3], "qat": [3, 4]}
    (adopted,) = (key for key, spec in plan.stages.items() if spec.kind == "adopt")
    tuned = [spec for spec in plan.stages.values() if spec.kind == "compress" and spec.parts.get("recipe:finetune")]
    assert [spec.inputs["model"] for spec in tuned] == [adopted, adopted]
    assert "train" not in kinds(plan)


def test_distillation_from_the_uncompressed_self_starts_from_the_given_weights(folder: Path) -> None:
    cases = "cases: {self: {teacher: as-given, steps: [soft_distillation]}}\n"
    plan = planned(folder, "seeds: [0, 1]\n", RECIPES, GIVEN, cases)
    (adopted,) = (key for key, spec in plan.stages.items() if spec.kind == "adopt")
    distilled = [spec for spec in plan.stages.values() if "teacher" in spec.inputs and spec.kind == "compress"]
    assert [(spec.inputs["model"], spec.inputs["teacher"]) for spec in distilled] == [(adopted, adopted)] * 2


def test_a_student_that_cannot_be_read_is_the_only_fault_told(folder: Path) -> None:
    path = written(folder, GIVEN.replace("net.py:Net", "net.py:Nett"), "cases: {half: [half_precision]}\n")
    with pytest.raises(SuiteError) as found:
        load(path)
    assert len(str(found.value).splitlines()) == 1
    assert "suite.yaml:4: student.model" in str(found.value)


def test_the_weights_are_keyed_by_content_wherever_the_file_lies(folder: Path) -> None:
    cases = "cases: {half: [half_precision]}\n"
    first = planned(folder, GIVEN, cases)
    (folder / "elsewhere").mkdir()
    (folder / "net.pt").rename(folder / "elsewhere" / "net.pt")
    assert set(planned(folder, GIVEN.replace("net.pt", "elsewhere/net.pt"), cases).stages) == set(first.stages)
    torch.save(weights(6), folder / "net.pt")
    assert set(planned(folder, GIVEN, cases).stages) != set(first.stages)


def test_a_case_may_bring_its_own_given_student_which_is_its_baseline(folder: Path) -> None:
    own = "{student: {model: {'net.py:make_net': {width: 6}}, weights: net.pt}, steps: [half_precision]}"
    fresh = "student: {model: mlp}\nrecipes: {train: {epochs: 1}}\nseeds: [0, 1]\n"
    plan = planned(folder, fresh, f"cases: {{from-scratch: [], mine: {own}}}\n")
    assert plan.references["mine"] == "mine/as-given"
    assert seeds(plan) == {"from-scratch": [0, 1], "mine": [0], "mine/as-given": [0]}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            (
                "student: {onnx: net.onnx}\n",
                "cases: {p: [structured_pruning: {channel_fraction: 0.5}]}\n",
                RECIPES,
            ),
            "structured_pruning works on a torch model, and the student is an ONNX file; give its network",
        ),
        (
            (GIVEN, "cases: {moved: [transfer_learning: {source: net.pt}]}\n", RECIPES),
            "transfer_learning starts from other weights, and the student is given with its own",
        ),
        (
            (GIVEN, "cases: {from-scratch: []}\n"),
            "'from-scratch' is a student trained on labels, and this one is",
        ),
        ((GIVEN, "cases: {as-given: [half_precision]}\n"), "'as-given' is a given student as it is, and this case has"),
        ((GIVEN, "cases: {q: [quantization_aware_training]}\n"), "a recipe named 'finetune', and the suite has none"),
        (("student: {model: mlp}\n", "cases: {a: []}\n"), "there is no recipe 'train'"),
        (("student: {onnx: a.onnx, model: mlp}\n", "cases: {a: []}\n"), "a student is a 'model'"),
        (
            ("student: {model: decision_tree, weights: net.pt}\n", "cases: {half: [half_precision]}\n"),
            "decision_tree is no network, so there is no file of its weights",
        ),
        (
            ("student: {model: {net.py:Net: {widht: 6}}, weights: net.pt}\n", "cases: {half: [half_precision]}\n"),
            "Did you mean 'width'?",
        ),
        (
            ("student: {model: net.py:make_net, weights: net.pt}\n", "cases: {half: [half_precision]}\n"),
            "net.py:make_net",
        ),
    ],
)
def test_what_a_given_student_cannot_be_is_said(folder: Path, parts: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(sentence)):
        load(written(folder, *parts))


def test_a_file_that_is_not_there_is_said_at_the_student(folder: Path) -> None:
    with pytest.raises(SuiteError, match=r"suite\.yaml:4: student: cannot read 'gone\.pt' \(No such file"):
        planned(folder, GIVEN.replace("net.pt", "gone.pt"), "cases: {half: [half_precision]}\n")
