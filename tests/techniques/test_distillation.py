"""Soft, hard and mixed distillation: their weights, what they train, and that they leave no trace."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError

from kdbench.techniques.outputs.hard_distillation import HardDistillation
from kdbench.techniques.outputs.mixed_distillation import MixedDistillation
from kdbench.techniques.outputs.soft_distillation import SoftDistillation


def trained_teacher(context, build):
    return context(epochs=30).fit(build("mlp", seed=7)).eval()


@pytest.mark.parametrize(
    "technique",
    [
        SoftDistillation(ce_weight=1, kd_weight=0),
        HardDistillation(ce_weight=1, kd_weight=0),
        MixedDistillation(ce_weight=1, kd_weight=0),
    ],
)
def test_labels_alone_are_from_scratch_bit_for_bit_and_never_ask_the_teacher(context, build, technique):
    scratch = context().fit(build("residual"))
    ctx = context(teacher=build("mlp", seed=7))

    taught = technique.apply(build("residual"), ctx)

    assert ctx.teacher_calls == 0
    for name, value in scratch.state_dict().items():
        assert torch.equal(value, taught.state_dict()[name]), name


def test_each_part_of_the_loss_is_logged_by_name_with_its_weight_in_it(context, build):
    teacher = build("mlp", seed=7)
    ctx = context(teacher=teacher, epochs=1)
    captured = []
    ctx.fit = lambda model, loss=None, extra=None, recipe="train": captured.append(loss) or model
    student, batch = build("mlp"), next(iter(ctx.train))

    MixedDistillation(ce_weight=0.1, kd_weight=0.9, temperature=2.0).apply(student, ctx)
    logits = student(*batch.inputs)
    parts = captured[0](batch, (logits,))

    s, t = logits / 2, ctx.teacher(batch)[0] / 2
    kl = (t.softmax(1) * (t.log_softmax(1) - s.log_softmax(1))).sum(1).mean()
    assert parts["ce"].item() == pytest.approx(0.1 * nnf.cross_entropy(logits, batch.targets[0]).item(), rel=1e-6)
    assert parts["soft"].item() == pytest.approx(0.9 * 4 * kl.item(), rel=1e-5)
    assert parts.keys() == {"ce", "soft"}


@pytest.mark.parametrize("technique", [SoftDistillation(), HardDistillation()])
def test_by_default_only_the_teacher_is_listened_to(context, build, technique):
    ctx = context(teacher=build("mlp", seed=7))
    ctx.targets = (ctx.targets + 1) % 10
    wrong_labels = technique.apply(build("mlp"), ctx).state_dict()

    right_labels = technique.apply(build("mlp"), context(teacher=build("mlp", seed=7))).state_dict()

    assert all(torch.equal(wrong_labels[name], right_labels[name]) for name in right_labels)


@pytest.mark.parametrize("technique", [SoftDistillation(), HardDistillation()])
def test_the_term_falls_and_the_student_comes_closer_than_one_taught_by_a_shuffled_teacher(context, build, technique):
    teacher = trained_teacher(context, build)
    ctx = context(teacher=teacher, epochs=20)
    student = technique.apply(build("plain"), ctx)
    term = [next(iter(terms.values())) for terms in ctx.history.terms_by_epoch]

    shuffled = copy.deepcopy(teacher)
    shuffled[-1].weight.data = shuffled[-1].weight.data.roll(3, 0)
    shuffled[-1].bias.data = shuffled[-1].bias.data.roll(3, 0)
    control = technique.apply(build("plain"), context(teacher=shuffled, epochs=20))

    decisions = teacher(ctx.images).argmax(1)
    agreement = (student(ctx.images).argmax(1) == decisions).float().mean()
    assert term[-1] < 0.7 * term[0]
    assert agreement > (control(ctx.images).argmax(1) == decisions).float().mean() + 0.3


@pytest.mark.parametrize("technique", [SoftDistillation(), HardDistillation()])
def test_the_teacher_leaves_as_it_came(context, build, technique):
    teacher = build("residual", seed=7)
    before = copy.deepcopy(teacher.state_dict())

    technique.apply(build("mlp"), context(teacher=teacher))

    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_mixed_distillation_wants_both_weights_written():
    with pytest.raises(ValidationError, match="ce_weight"):
        MixedDistillation.from_fields({"kd_weight": 0.9})
    with pytest.raises(ValidationError, match="kd_weight"):
        MixedDistillation.from_fields({"ce_weight": 0.1})


@pytest.mark.parametrize("fields", [{"kd_weight": 0}, {"kd_weight": -1}, {"temperature": 0}, {"temperature": "4"}])
def test_a_loss_of_nothing_and_numbers_out_of_range_are_refused(fields):
    with pytest.raises(ValidationError):
        SoftDistillation.from_fields(fields)


def test_hard_distillation_has_no_temperature():
    with pytest.raises(ValidationError, match="temperature"):
        HardDistillation.from_fields({"temperature": 4.0})
