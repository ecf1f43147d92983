"""The controls that a distillation must beat: smoothed labels, a virtual teacher, longer training."""

import copy
import math

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError
from torch import nn

from kdbench.techniques.controls.label_smoothing import LabelSmoothing
from kdbench.techniques.controls.longer_training import LongerTraining, forward_macs
from kdbench.techniques.controls.teacher_free import TeacherFree


def first_loss(technique, ctx, student):
    """The named terms of the first batch."""
    captured = []
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): captured.append(loss) or model
    technique.apply(student, ctx)
    batch = next(iter(ctx.train))
    logits = student(*batch.inputs)
    return captured[0](batch, (logits,)), logits.detach(), batch.targets[0]


@pytest.mark.parametrize("smoothing", [0.1, 0.4])
def test_label_smoothing_shares_its_mass_among_all_classes(context, build, smoothing):
    terms, logits, targets = first_loss(LabelSmoothing(smoothing=smoothing), context(), build("mlp"))

    target = (1 - smoothing) * nnf.one_hot(targets, 10) + smoothing / 10
    by_hand = -(target * logits.log_softmax(1)).sum(1).mean()
    assert terms.keys() == {"smoothed_ce"}
    assert terms["smoothed_ce"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_label_smoothing_of_nothing_is_from_scratch_bit_for_bit(context, build):
    scratch = context().fit(build("residual")).state_dict()

    smoothed = LabelSmoothing(smoothing=0.0).apply(build("residual"), context()).state_dict()

    assert all(torch.equal(scratch[name], smoothed[name]) for name in scratch)


def test_label_smoothing_keeps_the_student_from_being_sure(context, build):
    def confidence(smoothing: float) -> float:
        ctx = context(epochs=60)
        student = LabelSmoothing(smoothing=smoothing).apply(build("plain"), ctx)
        return student(ctx.images).softmax(1).amax(1).mean().item()

    assert confidence(0.4) < 0.8 < confidence(0.0)


def test_the_virtual_teachers_term_and_the_labels_carry_the_published_weights(context, build):
    terms, logits, targets = first_loss(TeacherFree(), context(), build("mlp"))

    rule = torch.full((96, 10), 0.01 / 9).scatter(1, targets[:, None], 0.99)
    divergence = nnf.kl_div(logits.log_softmax(1), (rule / 20).softmax(1), reduction="batchmean")
    assert terms.keys() == {"ce", "virtual_teacher"}
    assert terms["ce"].item() == pytest.approx(0.9 * nnf.cross_entropy(logits, targets).item(), rel=1e-5)
    assert terms["virtual_teacher"].item() == pytest.approx(0.1 * divergence.item(), rel=1e-4)


def test_without_a_label_weight_the_virtual_teacher_alone_still_teaches_the_labels(context, build):
    ctx = context(epochs=20)
    technique = TeacherFree(ce_weight=0.0, kd_weight=1.0, temperature=1.0, correct_probability=0.999)

    technique.apply(build("plain"), ctx)

    terms = ctx.history.terms_by_epoch
    assert terms[0].keys() == {"virtual_teacher"}
    assert terms[-1]["virtual_teacher"] < 0.7 * terms[0]["virtual_teacher"]


@pytest.mark.parametrize("technique", [LabelSmoothing(), TeacherFree()])
def test_a_control_on_labels_asks_for_no_teacher(context, build, technique):
    ctx = context()

    technique.apply(build("mlp"), ctx)

    assert technique.needs == frozenset()
    assert technique.start == "fresh"
    assert ctx.teacher_calls == 0


def test_longer_training_spends_the_teachers_compute_on_epochs(context, build):
    student, teacher = build("mlp"), nn.Sequential(nn.Flatten(), nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
    ctx = context(teacher=teacher, epochs=4)

    LongerTraining().apply(student, ctx)

    student_macs, teacher_macs = 64 * 64 + 64 * 32 + 32 * 10, 64 * 300 + 300 * 10
    factor = 1 + teacher_macs / (3 * student_macs)
    assert ctx.history.epoch_count == math.ceil(4 * factor) == 9
    (note,) = ctx.notes
    assert f"{factor:.2f} times" in note
    assert ctx.teacher_calls == 0


def test_longer_training_is_from_scratch_under_the_longer_recipe_bit_for_bit(context, build):
    ctx = context(teacher=build("mlp"), epochs=3)
    longer = LongerTraining().apply(build("mlp"), ctx).state_dict()

    scratch = context(epochs=4).fit(build("mlp")).state_dict()

    assert ctx.history.epoch_count == 4  # a teacher like the student: a third more
    assert all(torch.equal(scratch[name], longer[name]) for name in scratch)


def test_counting_changes_neither_network_nor_mode(context, build):
    network = build("residual").train()
    before = copy.deepcopy(network.state_dict())

    macs = forward_macs(network, (torch.rand(2, 1, 8, 8),))

    assert macs > 0
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("network", "shape", "macs"),
    [
        # queries, keys, values; scores and their sums; the output; two layers of 16
        (
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            (5, 8),
            5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 64 + 2 * 5 * 8 * 16,
        ),
        (nn.LSTM(8, 6, batch_first=True), (5, 8), 5 * 4 * 6 * (8 + 6)),
        (nn.GRU(8, 6, batch_first=True), (5, 8), 5 * 3 * 6 * (8 + 6)),
        (nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 7, 7), 7 * 7 * 6 * 2 * 9),
    ],
    ids=["encoder", "lstm", "gru", "grouped"],
)
def test_products_within_fused_operators_count(network, shape, macs):
    assert forward_macs(network, (torch.rand(2, *shape),)) == 2 * macs


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (LabelSmoothing, {"smoothing": 1.0}),
        (LabelSmoothing, {"smoothing": -0.1}),
        (TeacherFree, {"correct_probability": 1.0}),
        (TeacherFree, {"temperature": 0}),
        (TeacherFree, {"kd_weight": 0}),
        (LongerTraining, {"factor": 2.0}),
    ],
)
def test_fields_out_of_range_are_refused(cls, fields):
    with pytest.raises(ValidationError):
        cls.from_fields(fields)
