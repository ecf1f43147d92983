"""Recovery: fine-tuning on labels or with a distillation's loss, whatever damaged the network before."""

import pytest
import torch
from pydantic import ValidationError

from kdbench.errors import SuiteError
from kdbench.suite.reader import load
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.pruning.structured_pruning import StructuredPruning
from kdbench.techniques.recovery import Recovery

SUITE = """
kdbench: 1
name: recovery
task: digits
seeds: [0]
recipes: {{train: {{epochs: 1}}, finetune: {{epochs: 1}}}}
teacher: {{model: cnn, recipe: train}}
student: {{model: cnn}}
cases:
  from-scratch: []
  pruned: [{{structured_pruning: {fields}}}]
measure: [{{provider: cpu}}]
"""


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in model.parameters()]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(map(torch.equal, weights(one), weights(other)))


def test_without_a_teacher_it_is_training_on_labels_under_the_recipe_finetune(build, context):
    ctx = context()
    ctx2 = context()

    assert same(Recovery().recover(build("mlp"), ctx), ctx2.fit(build("mlp"), recipe="finetune"))
    assert ctx.roles == ["finetune"]
    assert ctx.teacher_calls == 0


def test_with_a_distillation_it_is_training_with_that_techniques_loss_to_the_bit(build, context):
    fields = {"temperature": 2.0, "kd_weight": 0.9, "ce_weight": 0.1}
    recovered = Recovery(distil={"soft_distillation": fields}).recover(
        build("mlp"), ctx := context(teacher=build("plain", seed=7))
    )
    taught = SoftDistillation(**fields).apply(build("mlp"), context(teacher=build("plain", seed=7)))

    assert same(recovered, taught)
    assert set(ctx.history.terms_by_epoch[0]) == {"ce", "soft"}


def test_a_distillation_without_kd_weight_asks_no_teacher_and_is_training_on_labels(build, context):
    ctx = context(teacher=build("plain"))
    recovered = Recovery(distil={"mixed_distillation": {"kd_weight": 0.0, "ce_weight": 1.0}}).recover(build("mlp"), ctx)

    assert same(recovered, context().fit(build("mlp")))
    assert ctx.teacher_calls == 0


def test_features_of_a_pruned_student_are_adapted_to_the_teachers(build, context):
    ctx = context(teacher=build("residual", seed=7))
    technique = StructuredPruning(
        channel_fraction=0.5, steps=2, distil={"fitnet": {"student_layer": "2", "teacher_layer": "2"}}
    )
    model = technique.apply(build("residual"), ctx)

    assert [set(history.terms_by_epoch[0]) for history in ctx.histories] == [{"ce", "fitnet"}] * 2
    assert len(model.state_dict()) == len(build("residual").state_dict())
    assert not any(m._forward_hooks for m in [*model.modules(), *ctx.teacher_module.modules()])


def test_it_asks_for_what_its_distillation_asks_for():
    assert Recovery().asks() == frozenset()
    assert Recovery(distil="soft_distillation").asks() == {"teacher"}
    assert Recovery(distil="fitnet").asks() == {"teacher_features"}
    assert Recovery(distil={"soft_distillation": {"unlabelled": "photos"}}).unlabelled_folder() == "photos"


def test_two_spellings_of_one_distillation_are_one_and_another_field_is_another():
    short, long = Recovery(distil="soft_distillation"), Recovery(distil={"soft_distillation": {"temperature": 4.0}})

    assert short.identity() == long.identity()
    assert short.identity() != Recovery(distil={"soft_distillation": {"temperature": 5.0}}).identity()
    assert short.identity()["distil"]["version"] == SoftDistillation.version


def test_without_fine_tuning_the_damage_is_all_there_is(build, context):
    ctx = context()
    technique = StructuredPruning(channel_fraction=0.5, finetuned=False)
    model = technique.apply(build("residual"), ctx)

    assert ctx.roles == []
    assert technique.trains_under() == frozenset()
    assert not model.training


@pytest.mark.parametrize(
    ("distil", "sentence"),
    [
        ("soft_distilation", "there is no technique 'soft_distilation'. Did you mean 'soft_distillation'?"),
        ({"soft_distillation": {"temprature": 2}}, "soft_distillation has no field 'temprature'. Did you mean"),
        ({"soft_distillation": {"temperature": -2}}, "soft_distillation.temperature: must be > 0, got -2"),
        ({"soft_distillation": {"kd_weight": 0}}, "soft_distillation: kd_weight and ce_weight are both 0"),
        ("static_quantization", "static_quantization is no distillation"),
        ("born_again", "born_again trains in goes of its own"),
        ({"fitnet": {"stages": "two"}}, "fitnet trains in goes of its own"),
        ("mine.py:Mine", "'mine.py:Mine' is a technique of a file, and only registered"),
        ({"soft_distillation": {}, "fitnet": {}}, "a distillation is a name, or one {name: {fields}}"),
    ],
)
def test_what_cannot_be_the_loss_of_a_fine_tuning_is_one_sentence(distil, sentence):
    with pytest.raises(ValidationError) as error:
        Recovery.from_fields({"distil": distil})

    (fault,) = error.value.errors()
    assert str(fault["ctx"]["error"]).startswith(sentence)


def test_a_suite_with_a_wrong_distillation_says_where(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.format(fields="{channel_fraction: 0.5, distil: {soft_distillation: {temprature: 2}}}"))

    with pytest.raises(SuiteError) as error:
        load(path)

    assert str(error.value).endswith(
        "s.yaml:11: cases.pruned.0.structured_pruning.distil: soft_distillation has no field 'temprature'. "
        "Did you mean 'temperature'?"
    )


def test_a_distillation_without_a_teacher_in_the_suite_is_refused(tmp_path):
    path = tmp_path / "s.yaml"
    text = SUITE.format(fields="{channel_fraction: 0.5, distil: soft_distillation}")
    path.write_text(text.replace("teacher: {model: cnn, recipe: train}\n", ""))

    with pytest.raises(SuiteError, match="structured_pruning needs a teacher, and the suite has none"):
        load(path)


def test_a_step_that_trains_nothing_takes_no_recipe_and_needs_none(tmp_path):
    path = tmp_path / "s.yaml"
    text = SUITE.format(fields="{channel_fraction: 0.5, finetuned: false}")
    path.write_text(text.replace(", finetune: {epochs: 1}", ""))

    (step,) = load(path).cases["pruned"].steps
    assert step.recipes == {}


def test_the_control_from_scratch_trains_under_the_students_recipe(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.format(fields="{channel_fraction: 0.5, reinitialize: true}"))

    (step,) = load(path).cases["pruned"].steps
    assert step.recipes == {"train": "train"}
