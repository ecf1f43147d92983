"""Unstructured pruning: which weights go, how many, and that they stay away."""

import gzip
import io
import itertools

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.protocols.recipe import Regularizer
from kdbench.techniques.pruning.unstructured_pruning import UnstructuredPruning


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def untrained(ctx):
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): model
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
    assert not any(weight._backward_hooks for weight in weights(model))
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


def zero_shares(model: nn.Module) -> list[float]:
    return [float((weight == 0).float().mean()) for weight in weights(model)]


def test_with_scope_layer_every_layer_loses_the_same_share(build, context):
    model = UnstructuredPruning(weight_fraction=0.75, scope="layer").apply(build("residual"), context())

    assert zero_shares(model) == pytest.approx([0.75] * len(weights(model)), abs=0.005)


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "grouped", "mlp"])
@pytest.mark.parametrize(("pattern", "kept", "size"), [("2:4", 2, 4), ("1:8", 1, 8)])
def test_a_pattern_holds_in_every_group_of_the_input_axis_after_fine_tuning(name, pattern, kept, size, build, context):
    ctx = context()
    model = UnstructuredPruning(pattern=pattern, steps=2).apply(build(name), ctx)

    fits = [weight for weight in weights(model) if weight.shape[1] % size == 0]
    assert fits
    for weight in fits:
        groups = weight.unflatten(1, (-1, size))
        assert (groups != 0).sum(2).unique().tolist() == [kept]
    whole = [weight for weight in weights(model) if weight.shape[1] % size]
    assert all(bool(weight.all()) for weight in whole)
    assert len(ctx.notes) == bool(whole)


def test_of_every_group_the_largest_stay(context):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = model[1].weight.detach().clone().view(10, 16, 4)

    UnstructuredPruning(pattern="2:4").apply(model, untrained(context()))

    after = model[1].weight.view(10, 16, 4)
    assert torch.equal(after.abs().sum(2), before.abs().sort(2).values[..., 2:].sum(2))


def test_the_share_grows_by_the_cubic_schedule_and_the_steps_share_the_epochs(build, context):
    ctx = context(epochs=4)
    fit, shares, epochs = ctx.fit, [], []

    def watched(model, *args, **options):
        flat = torch.cat([weight.flatten() for weight in weights(model)])
        shares.append(float((flat == 0).float().mean()))
        result = fit(model, *args, **options)
        epochs.append(ctx.history.epoch_count)
        return result

    ctx.fit = watched
    UnstructuredPruning(weight_fraction=0.8, steps=4).apply(build("residual"), ctx)

    assert shares == pytest.approx([0.8 * (1 - (1 - step / 4) ** 3) for step in (1, 2, 3, 4)], abs=1e-4)
    assert epochs == [1, 1, 1, 1]


def test_what_is_zero_stays_zero_in_later_steps_of_the_random_control_too(build, context):
    ctx, seen = context(epochs=3), []
    fit = ctx.fit

    def watched(model, *args, **options):
        seen.append([weight == 0 for weight in weights(model)])
        return fit(model, *args, **options)

    ctx.fit = watched
    model = UnstructuredPruning(weight_fraction=0.6, steps=3, criterion="random").apply(build("plain"), ctx)

    seen.append([weight == 0 for weight in weights(model)])
    for before, after in itertools.pairwise(seen):
        assert all(bool(now[then].all()) for then, now in zip(before, after, strict=True))
    flat = torch.cat([weight.flatten() for weight in weights(model)])
    assert int((flat == 0).sum()) == round(0.6 * len(flat))


def test_the_random_control_goes_by_the_seed_and_not_by_magnitude(build, context):
    def pruned(seed: int) -> torch.Tensor:
        technique = UnstructuredPruning(weight_fraction=0.5, criterion="random")
        return technique.apply(build("mlp"), untrained(context(seed=seed)))[1].weight

    before = build("mlp")[1].weight.detach()
    assert torch.equal(pruned(0), pruned(0))
    assert not torch.equal(pruned(0), pruned(1))
    gone, left = before[pruned(0) == 0].abs().mean(), before[pruned(0) != 0].abs().mean()
    assert float(gone) == pytest.approx(float(left), rel=0.1)


def test_kept_layers_stay_whole_and_do_not_count(build, context):
    model = UnstructuredPruning(weight_fraction=0.5, keep=("1", "5")).apply(build("residual"), context())

    assert all(bool(layer.weight.all()) for layer in (model[1].first, model[1].second, model[5]))
    others = [model[0], model[2].first, model[2].second, model[2].shortcut]
    rest = torch.cat([layer.weight.flatten() for layer in others])
    assert int((rest == 0).sum()) == round(0.5 * len(rest))


def test_a_kept_layer_that_does_not_exist_is_refused_with_the_nearest_name(build, context):
    with pytest.raises(TechniqueError, match=r"no layer '1.frst'. Did you mean '1.first'\?"):
        UnstructuredPruning(weight_fraction=0.5, keep=("1.frst",)).apply(build("residual"), context())


def test_zeros_stay_zero_under_weight_decay_adam_and_a_penalty(build, context):
    ctx = context()
    changes = {"optimizer": "adamw", "weight_decay": 0.1, "regularizer": Regularizer(penalty="l1", weight=1e-4)}
    ctx.recipe = ctx.recipe.model_copy(update=changes)
    fit = ctx.fit

    def watched(model, *args, **options):
        before = [weight == 0 for weight in weights(model)]
        fit(model, *args, **options)
        assert all(bool((weight[zero] == 0).all()) for weight, zero in zip(weights(model), before, strict=True))
        return model

    ctx.fit = watched
    UnstructuredPruning(weight_fraction=0.5).apply(build("plain"), ctx)


def test_a_layer_that_lost_everything_is_noted(build, context):
    model, ctx = build("mlp"), context()
    with torch.no_grad():
        model[3].weight.mul_(1e-6)

    UnstructuredPruning(weight_fraction=0.6).apply(model, ctx)

    assert ctx.notes == ["all weights of 3 became zero: what goes through there does not count any more."]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give either weight_fraction or pattern"),
        ({"weight_fraction": 0.5, "pattern": "2:4"}, "give either weight_fraction or pattern"),
        ({"weight_fraction": 0.0}, "greater than 0"),
        ({"weight_fraction": 1.0}, "less than 1"),
        ({"pattern": "4:4"}, "pattern 4:4 makes no weight zero"),
        ({"pattern": "two:four"}, "match pattern"),
        ({"pattern": "2:4", "scope": "layer"}, "scope has no effect"),
        ({"weight_fraction": 0.5, "steps": 2, "finetuned": False}, "steps train between them"),
    ],
)
def test_an_amount_that_makes_no_sense_is_one_sentence(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        UnstructuredPruning.from_fields(fields)


def test_a_pattern_that_fits_nowhere_or_holds_already_is_refused(build, context):
    with pytest.raises(TechniqueError, match="pattern 3:7 fits no layer"):
        UnstructuredPruning(pattern="3:7").apply(build("mlp"), context())
    model = UnstructuredPruning(pattern="2:4").apply(build("mlp"), context())
    with pytest.raises(TechniqueError, match="pattern 2:4 changes nothing"):
        UnstructuredPruning(pattern="2:4").apply(model, context())


def test_a_teacher_may_recover_it(build, context):
    ctx = context(teacher=build("residual", seed=7))
    model = UnstructuredPruning(weight_fraction=0.5, distil="soft_distillation").apply(build("residual"), ctx)

    assert ctx.teacher_calls
    assert set(ctx.history.terms_by_epoch[0]) == {"soft"}
    assert float(sum((weight == 0).sum() for weight in weights(model))) > 0
