"""Which students of a suite may go in step, and what `kdbench plan` says of it."""

from pathlib import Path

import pytest
from PIL import Image

from kdbench.cli._plan_text import plan_text
from kdbench.plan.companies import MOST, companies
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.stages.store import Store
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0, 1]
recipes:
  train: {{epochs: 2}}
  small: {{epochs: 2, batch_size: 32}}
  finetune: {{epochs: 1}}
teacher: {{model: {{cnn: {{channels: [16, 64]}}}}, recipe: train}}
student: {{model: {{cnn: {{channels: [8, 16]}}}}, recipe: train}}
cases:
  from-scratch: []
{cases}
measure: [{{provider: cpu}}]
"""
THREE = """  fitnet: [fitnet]
  attention: [attention_transfer]
  similarity: [similarity_preserving]"""
SMALL = "{steps: [relational], student: {model: {cnn: {channels: [8, 16]}}, recipe: small}}"
PRUNED = "{structured_pruning: {channel_fraction: 0.5, distil: contrastive}}"


def planned(folder: Path, cases: str) -> Plan:
    (folder / "s.yaml").write_text(SUITE.format(cases=cases))
    return make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))


def names(plan: Plan) -> list[list[tuple[str, int | None]]]:
    return [[(spec.parts["technique"].name, spec.seed) for spec in group] for group in companies(plan.stages.values())]


def test_students_of_a_seed_that_ask_for_features_go_in_step(tmp_path: Path) -> None:
    expected = ["fitnet", "attention_transfer", "similarity_preserving"]
    assert names(planned(tmp_path, THREE)) == [[(name, seed) for name in expected] for seed in (0, 1)]


@pytest.mark.parametrize(
    "case",
    [
        "  soft: [soft_distillation]",
        f"  other-batches: {SMALL}",
        f"  on-top-of-another: [fitnet, {PRUNED}]",
        f"  of-a-trained-student: [{PRUNED}]",
        "  of-another-teacher: {steps: [relational], teacher: {model: {cnn: {channels: [16, 32]}}, recipe: train}}",
    ],
    ids=lambda case: case.split(":")[0].strip(),
)
def test_a_student_that_shares_no_pass_goes_by_itself(case: str, tmp_path: Path) -> None:
    """Its teacher's outputs are stored, its batches or its teacher are others, or it rests on one of the group."""
    assert names(planned(tmp_path, f"{THREE}\n{case}")) == names(planned(tmp_path, THREE))


def test_a_group_is_bounded(tmp_path: Path) -> None:
    groups = names(planned(tmp_path, "  fitnet: [fitnet: {kd_weight: {grid: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}]"))
    assert [len(group) for group in groups] == [MOST, 11 - MOST] * 2


def test_plan_says_how_many_students_share_passes(tmp_path: Path) -> None:
    plan, store = planned(tmp_path, THREE), Store(tmp_path / "store")
    said = plan_text(plan, plan.labels, store)
    assert "6 students that ask for a teacher's features go in step in 2 groups of up to 3, at most 8" in said


@pytest.fixture
def viewed(tmp_path: Path) -> str:
    """The suite on pictures that have several views, so that each seed stores outputs of its own."""
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / "pictures" / split / label).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / split / label / "1.png")
    fields = f"{{root: {tmp_path}/pictures, image_size: 8, augment: crop_flip}}"
    return SUITE.replace("task: digits", f"task: {{{{image_folder: {{{fields}}}}}}}")


def kinds(folder: Path, suite: str, cases: str) -> list[list[str]]:
    """The kinds of the stages that go in step in a suite, and what `kdbench plan` says of it."""
    (folder / "s.yaml").write_text(suite.format(cases=cases))
    plan = make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))
    return [[spec.kind for spec in group] for group in companies(plan.stages.values())]


SOFT = "\n  soft: [soft_distillation]"


def test_stored_outputs_are_filled_from_the_passes_of_a_company(tmp_path: Path, viewed: str) -> None:
    assert kinds(tmp_path, viewed, THREE + SOFT) == [["teach", "compress", "compress", "compress"]] * 2
    assert kinds(tmp_path, viewed, f"  fitnet: [fitnet]{SOFT}") == [["teach", "compress"]] * 2
    plan = make_plan(load(tmp_path / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))
    said = plan_text(plan, plan.labels, Store(tmp_path / "store"))
    assert "2 students that ask for a teacher's features go in step in 2 groups of up to 1" in said
    assert "These passes fill 2 tables of stored outputs, too." in said
    assert "A view whose outputs are stored for one seed is looked up for the next" in said


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{epochs: 2}", "{epochs: 2, batch_size: 16}"),
        ("{epochs: 2}", "{epochs: 2, threads: 2}"),
        ("soft: [soft_distillation]", "soft: {steps: [soft_distillation], student: {model: mlp, recipe: half}}"),
        ("soft: [soft_distillation]", "soft: {steps: [soft_distillation], teacher: {model: mlp, recipe: train}}"),
    ],
    ids=["small batches", "threads", "another precision", "another teacher"],
)
def test_stored_outputs_that_other_passes_give_are_computed_alone(
    before: str, after: str, tmp_path: Path, viewed: str
) -> None:
    suite = viewed.replace("  finetune:", "  half: {{epochs: 2, precision: bf16}}\n  finetune:")
    suite, cases = (text.replace(before, after) for text in (suite.replace("{{", "{").replace("}}", "}"), THREE + SOFT))
    doubled = suite.replace("{", "{{").replace("}", "}}").replace("{{cases}}", "{cases}")
    assert kinds(tmp_path, doubled, cases) == [["compress"] * 3] * 2


def test_outputs_are_stored_in_the_precision_of_the_students_recipe(tmp_path: Path) -> None:
    cases = (
        "  soft: [soft_distillation]\n  soft-bf16: {steps: [soft_distillation], student: {model: mlp, recipe: half}}"
    )
    text = SUITE.format(cases=cases).replace("finetune: {", "half: {epochs: 2, precision: bf16}\n  finetune: {")
    (tmp_path / "s.yaml").write_text(text)
    plan = make_plan(load(tmp_path / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))
    assert [spec.settings for spec in plan.stages.values() if spec.kind == "teach"] == [{}, {"precision": "bf16"}]
