"""Every technique on outputs: what it trains by default, that it works, and that it leaves no trace."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError

from kdbench import functional as F
from kdbench.techniques.outputs.decoupled_distillation import DecoupledDistillation
from kdbench.techniques.outputs.dist import Dist
from kdbench.techniques.outputs.hard_distillation import HardDistillation
from kdbench.techniques.outputs.logit_matching import LogitMatching
from kdbench.techniques.outputs.mixed_distillation import MixedDistillation
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.outputs.standardized_distillation import StandardizedDistillation

NEW = [LogitMatching, DecoupledDistillation, Dist, StandardizedDistillation]
EVERY = [SoftDistillation, HardDistillation, *NEW]
ALONE = {Dist: {"kd_weight": 0.1, "ce_weight": 0.0}, DecoupledDistillation: {"kd_weight": 0.2, "ce_weight": 0.0}}
"""The term alone; T^2 and published weights without a warm-up are too much for the bench's rate of 0.05."""


def alone(cls, **fields):
    return cls(**ALONE.get(cls, {"kd_weight": 1.0, "ce_weight": 0.0}), **fields)


@pytest.fixture
def teacher(context, build):
    return context(epochs=30).fit(build("mlp", seed=7)).eval()


def loss_of(technique, ctx, student):
    """The loss that the technique hands to the loop."""
    captured = []
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): captured.append(loss) or model
    technique.apply(student, ctx)
    return captured[0]


PUBLISHED = {
    LogitMatching: lambda s, t, y: {"logits": ((s - t) ** 2).mean()},
    DecoupledDistillation: lambda s, t, y: {
        "ce": nnf.cross_entropy(s, y),
        "decoupled": F.decoupled_distillation(s, t, y, 4.0, 1.0, 8.0),
    },
    Dist: lambda s, t, y: {"ce": nnf.cross_entropy(s, y), "dist": 2 * F.dist(s, t, 4.0, 1.0, 1.0)},
    StandardizedDistillation: lambda s, t, y: {
        "ce": 0.1 * nnf.cross_entropy(s, y),
        "standardized": 9 * F.standardized_distillation(s, t, 2.0),
    },
}


@pytest.mark.parametrize("cls", NEW)
def test_the_defaults_are_the_published_weights(context, build, teacher, cls):
    ctx, student = context(teacher=teacher), build("plain")
    loss = loss_of(cls(), ctx, student)
    batch = next(iter(ctx.train))
    logits = student(*batch.inputs)

    found, expected = loss(batch, (logits,)), PUBLISHED[cls](logits, teacher(*batch.inputs), batch.targets[0])

    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-6)


@pytest.mark.parametrize("cls", NEW)
def test_labels_alone_are_from_scratch_bit_for_bit(context, build, cls):
    scratch = context().fit(build("residual")).state_dict()
    ctx = context(teacher=build("mlp", seed=7))

    taught = cls(ce_weight=1, kd_weight=0).apply(build("residual"), ctx).state_dict()

    assert ctx.teacher_calls == 0
    assert all(torch.equal(scratch[name], taught[name]) for name in scratch)


@pytest.mark.parametrize("cls", EVERY)
def test_the_term_falls_and_the_student_comes_to_decide_as_the_teacher(context, build, teacher, cls):
    ctx = context(teacher=teacher, epochs=20)
    keys = build("plain").state_dict().keys()

    student = alone(cls).apply(build("plain"), ctx)

    term = [terms[cls.label] for terms in ctx.history.terms_by_epoch]
    agreement = (student(ctx.images).argmax(1) == teacher(ctx.images).argmax(1)).float().mean()
    assert term[-1] < 0.7 * term[0]
    assert agreement > 0.7
    assert student.state_dict().keys() == keys


@pytest.mark.parametrize("cls", EVERY)
def test_a_student_of_the_shuffled_teacher_agrees_with_it_by_chance_only(context, build, teacher, cls):
    ctx = context(teacher=teacher, epochs=20)

    student = alone(cls, shuffled=True).apply(build("plain"), ctx)

    decisions = teacher(ctx.images).argmax(1)
    chance = (student(ctx.images).argmax(1).bincount(minlength=10) * decisions.bincount(minlength=10)).sum() / 96**2
    agreement = (student(ctx.images).argmax(1) == decisions).float().mean()
    assert agreement < chance + 0.1


@pytest.mark.parametrize("cls", NEW)
def test_the_teacher_leaves_as_it_came(context, build, cls):
    teacher = build("residual", seed=7)
    before = copy.deepcopy(teacher.state_dict())

    cls().apply(build("mlp"), context(teacher=teacher))

    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_last_batch_of_another_size_is_no_obstacle(context, build, teacher):
    for cls in EVERY:
        ctx = context(teacher=teacher, epochs=1)
        ctx.images, ctx.targets = ctx.images[:67], ctx.targets[:67]

        cls().apply(build("mlp"), ctx)

        assert len(ctx.history.terms_by_epoch) == 1


def test_cross_entropy_in_the_divergences_place_trains_the_same_student_and_mean_squared_error_another(
    context, build, teacher
):
    students = {
        divergence: SoftDistillation(divergence=divergence).apply(build("mlp"), context(teacher=teacher))(
            context().images
        )
        for divergence in ("kl", "cross_entropy", "mean_squared_error")
    }

    assert (students["kl"] - students["cross_entropy"]).abs().max() < 1e-3
    assert (students["kl"] - students["mean_squared_error"]).abs().max() > 0.1


def test_mixed_distillation_has_the_divergences_too(context, build, teacher):
    technique = MixedDistillation(ce_weight=0.5, kd_weight=0.5, temperature=2.0, divergence="mean_squared_error")
    ctx, student = context(teacher=teacher), build("mlp")
    batch = next(iter(ctx.train))
    logits = student(*batch.inputs)

    soft = loss_of(technique, ctx, student)(batch, (logits,))["soft"]

    p = (teacher(*batch.inputs) / 2).softmax(1)
    assert soft.item() == pytest.approx(0.5 * 4 * nnf.mse_loss((logits / 2).softmax(1), p).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (SoftDistillation, {"divergence": "kullback"}, "divergence"),
        (HardDistillation, {"divergence": "kl"}, "divergence"),
        (LogitMatching, {"temperature": 4.0}, "temperature"),
        (DecoupledDistillation, {"target_weight": 0, "nontarget_weight": 0}, "raise one of them"),
        (DecoupledDistillation, {"nontarget_weight": -1}, "nontarget_weight"),
        (Dist, {"inter_weight": 0, "intra_weight": 0}, "raise one of them"),
        (StandardizedDistillation, {"temperature": 0}, "temperature"),
        (StandardizedDistillation, {"kd_weight": 0, "ce_weight": 0}, "nothing to learn"),
    ],
)
def test_fields_that_make_no_sense_are_refused(cls, fields, message):
    with pytest.raises(ValidationError, match=message):
        cls.from_fields(fields)
