"""BatchNorm re-estimation: statistics measured on training images, and nothing else changed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from kdbench.models.audio_cnn import AudioCNN
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.techniques.pruning.structured_pruning import StructuredPruning
from kdbench.techniques.weights.batchnorm_reestimation import BatchnormReestimation
from kdbench.training import decisive_metric, score


def test_statistics_are_those_of_the_training_images_by_hand(context):
    ctx = context()
    order = np.random.default_rng(ctx.seed).permutation(96)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))
    model[0].running_mean.fill_(7.0)

    model = BatchnormReestimation(sample_count=96, batch_size=48).apply(model, ctx)

    halves = ctx.images[order].split(48)
    assert model[0].running_mean.item() == pytest.approx(sum(half.mean().item() for half in halves) / 2, rel=1e-5)
    assert model[0].running_var.item() == pytest.approx(sum(half.var().item() for half in halves) / 2, rel=1e-5)
    assert not model.training


def test_nothing_but_running_statistics_changes(build, context):
    before = build("residual")
    after = BatchnormReestimation().apply(copy.deepcopy(before), context())

    changed = {n for n, t in after.state_dict().items() if not torch.equal(t, before.state_dict()[n])}
    assert {n for n in changed if "num_batches" not in n} == {n for n in before.state_dict() if "running" in n}
    assert [m.momentum for m in after.modules() if hasattr(m, "momentum")] == [0.1] * 4


def test_batches_are_mixed_where_the_training_split_comes_class_by_class(context):
    ctx = context()
    ctx.images = torch.cat([torch.zeros(48, 1, 8, 8), torch.ones(48, 1, 8, 8)])
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))

    model = BatchnormReestimation(sample_count=96, batch_size=48).apply(model, ctx)

    assert model[0].running_var.item() == pytest.approx(0.25, abs=0.01)  # 0, if each batch were of one class


def test_of_recordings_of_unequal_length_their_own_frames_count(context):
    ctx = context()
    task = TaskDescription(
        inputs=(
            Input(name="x", axes=(1, 4, "frames")),
            Input(name="count", axes=(), role="lengths", dtype="int64", covers="frames"),
        ),
        outputs=(Output(axes=(2,), class_names=("a", "b")),),
        axes=(SymbolicAxis(name="frames"),),
        example_counts={"train": 6},
    )
    draw = np.random.default_rng(0)
    pictures = [draw.normal(size=(1, 1, 4, length)).astype(np.float32) for length in (3, 9, 5, 7, 4, 6)]
    singles = [{"x": one, "count": np.array([one.shape[-1]])} for one in pictures]
    together = {"x": np.zeros((6, 1, 4, 9), np.float32), "count": np.full(6, 9)}
    ctx.task, ctx.calibration = task, lambda count: [*singles, together]
    network = AudioCNN(channels=(2,)).build(task)

    BatchnormReestimation(batch_size=6).apply(network, ctx)

    conv, norm = network.layer1[0], network.layer1[1]
    maps = torch.cat([conv(torch.from_numpy(one)) for one in pictures], 3)
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.transpose(0, 1).flatten(1).var(1))


def test_dropout_is_off_while_it_measures(context):
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))
    first = BatchnormReestimation().apply(copy.deepcopy(model), context())
    again = BatchnormReestimation().apply(copy.deepcopy(model), context())

    assert torch.equal(first[1].running_mean, again[1].running_mean)


def test_it_mends_what_wrong_statistics_break(build, context):
    ctx = context(epochs=30)
    model = ctx.fit(build("residual"))
    metric = decisive_metric(ctx.task)
    trained = score(model, ctx.train, metric)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.add_(5.0)
            layer.running_var.mul_(9.0)
    broken = score(model, ctx.train, metric)

    mended = score(BatchnormReestimation().apply(model, ctx), ctx.train, metric)

    assert broken < 0.3 < trained - 0.2
    assert mended > trained - 0.1


def test_after_pruning_without_fine_tuning_no_loop_runs(build, context):
    ctx = context()
    model = StructuredPruning(channel_fraction=0.5, finetuned=False).apply(build("residual"), ctx)
    before = copy.deepcopy(model.state_dict())
    model = BatchnormReestimation().apply(model, ctx)

    assert ctx.roles == []
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_network_without_batchnorm_is_a_problem_said_in_a_sentence(build, context):
    problem = BatchnormReestimation().problem(build("mlp"), context())

    assert problem == "the model has no BatchNorm with running statistics, so there is nothing to re-estimate."
    assert BatchnormReestimation().problem(build("residual"), context()) is None
