"""Unstructured pruning: which weights go, how many, and that they stay away."""

import gzip
import io

import pytest
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.unstructured_pruning import UnstructuredPruning


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def untrained(ctx):
    ctx.fit = lambda model, loss=None, extra=None, recipe="train": model
    return ctx


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.93])
def test_exactly_the_asked_share_of_all_weights_is_zero_after_fine_tuning(fraction, build, context):
    model = UnstructuredPruning(weight_fraction=fraction).apply(build("residual"), context())

    flat = torch.cat([weight.flatten() for weight in weights(model)])
    assert int((flat == 0).sum()) == round(fraction * len(flat))


def test_the_smallest_magnitudes_of_the_whole_network_go_and_the_others_stay(build, context):
    before = torch.cat([weight.detach().clone().flatten() for weight in weights(build("residual"))])

    model = UnstructuredPruning(weight_fraction=0.4).apply(build("residual"), untrained(context()))

    after = torch.cat([weight.flatten() for weight in weights(model)])
    threshold = before.abs().sort().values[round(0.4 * len(before)) - 1]
    assert torch.equal(after, torch.where(before.abs() > threshold, before, 0.0))


def test_equal_weights_at_the_threshold_go_in_part_so_that_the_share_is_exact(context):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.ones_(model[1].weight)

    UnstructuredPruning(weight_fraction=0.25).apply(model, untrained(context()))

    assert int((model[1].weight == 0).sum()) == 160


def test_zeros_stay_zero_while_the_other_weights_train(build, context):
    fresh = UnstructuredPruning(weight_fraction=0.5).apply(build("residual"), untrained(context()))
    zeros = [weight == 0 for weight in weights(fresh)]
    ctx = context(epochs=3)

    trained = UnstructuredPruning(weight_fraction=0.5).apply(build("residual"), ctx)

    assert ctx.roles == ["finetune"]
    for zero, old, new in zip(zeros, weights(fresh), weights(trained), strict=True):
        assert torch.equal(new == 0, zero)
        assert not torch.equal(old, new)


def test_biases_and_batch_norm_are_left_alone(build, context):
    before = build("residual").state_dict()

    after = UnstructuredPruning(weight_fraction=0.9).apply(build("residual"), untrained(context())).state_dict()

    assert before.keys() == after.keys()
    for name in before:
        if name.endswith("bias") or "norm" in name:
            assert torch.equal(before[name], after[name]), name


def test_no_mask_no_hook_and_no_second_weight_is_left(build, context):
    model = UnstructuredPruning(weight_fraction=0.5).apply(build("residual"), context())

    assert not any(name.endswith(("_orig", "_mask")) for name in model.state_dict())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(isinstance(weight, nn.Parameter) and weight.requires_grad for weight in weights(model))


def test_every_zero_has_the_same_bits_and_so_gzip_finds_them(build, context):
    def packed(model: nn.Module) -> int:
        buffer = io.BytesIO()
        for weight in weights(model):
            buffer.write(weight.detach().numpy().tobytes())
        return len(gzip.compress(buffer.getvalue(), 6))

    model = UnstructuredPruning(weight_fraction=0.9).apply(build("residual"), context())

    assert not any(torch.signbit(weight[weight == 0]).any() for weight in weights(model))
    assert packed(model) < 0.25 * packed(build("residual"))


def test_pruning_twice_counts_the_zeros_that_are_there(build, context):
    model = UnstructuredPruning(weight_fraction=0.5).apply(build("residual"), context())
    first = [weight == 0 for weight in weights(model)]

    model = UnstructuredPruning(weight_fraction=0.8).apply(model, context())

    flat = torch.cat([weight.flatten() for weight in weights(model)])
    assert int((flat == 0).sum()) == round(0.8 * len(flat))
    assert all(bool((weight[zero] == 0).all()) for weight, zero in zip(weights(model), first, strict=True))


def test_a_share_that_is_zero_already_is_refused_with_the_counts(build, context):
    model = UnstructuredPruning(weight_fraction=0.5).apply(build("residual"), context())

    with pytest.raises(TechniqueError, match=r"weight_fraction 0.3 changes nothing: \d+ of \d+ weights are zero"):
        UnstructuredPruning(weight_fraction=0.3).apply(model, context())


def test_a_model_without_weights_to_prune_is_a_problem_said_in_a_sentence(context):
    assert UnstructuredPruning(weight_fraction=0.5).problem(nn.Sequential(nn.Flatten()), context()) == (
        "the model has no convolution and no linear layer to prune."
    )
