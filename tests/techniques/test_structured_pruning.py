"""Structured pruning: smaller tensors, widths that round, a classifier that stays, and what it refuses."""

import copy

import pytest
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.structured_pruning import StructuredPruning


def widths(model: nn.Module) -> list[int]:
    return [m.weight.shape[0] for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def untrained(ctx):
    ctx.fit = lambda model, loss=None, extra=None, recipe="train": model
    return ctx


class Shuffle(nn.Module):
    """Channel shuffle, as ShuffleNet has it."""

    def forward(self, x):
        batch, channels, height, width = x.shape
        return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", [16, 16, 10]),
        ("residual", [16, 16, 16, 32, 32, 32, 10]),
        ("depthwise", [16, 16, 32, 10]),
        ("mlp", [32, 16, 10]),
    ],
)
def test_half_the_channels_of_every_layer_but_the_classifier_go(name, expected, build, context):
    ctx = context()
    model = StructuredPruning(channel_fraction=0.5).apply(build(name), ctx)

    assert widths(model) == expected
    assert model(ctx.images).shape == (96, 10)
    assert ctx.roles == ["finetune"]


@pytest.mark.parametrize(("round_to", "width"), [(1, 22), (2, 22), (8, 16), (16, 16)])
def test_remaining_widths_are_multiples_of_round_to(round_to, width, build, context):
    technique = StructuredPruning(channel_fraction=0.3, round_to=round_to)

    assert widths(technique.apply(build("plain"), context()))[:2] == [width, width]


def test_before_fine_tuning_the_channels_that_stay_keep_their_weights(build, context):
    before = build("plain")
    with torch.no_grad():
        before[0].weight[::2] *= 1e-3  # half the first layer's channels matter to nobody
        before[1].weight[::2] *= 1e-3
        before[3].weight[:, ::2] *= 1e-3

    after = StructuredPruning(channel_fraction=0.5, keep=("3",)).apply(copy.deepcopy(before), untrained(context()))

    assert torch.equal(after[0].weight, before[0].weight[1::2])
    assert torch.equal(after[3].weight, before[3].weight[:, 1::2])
    assert torch.equal(after[1].running_mean, before[1].running_mean[1::2])


def test_the_random_control_depends_on_the_seed_and_on_nothing_else(build, context):
    technique = StructuredPruning(channel_fraction=0.5, criterion="random")

    def pruned(seed: int, noise: int) -> torch.Tensor:
        model = build("residual")
        torch.manual_seed(noise)
        return technique.apply(model, untrained(context(seed=seed)))[0].weight

    assert torch.equal(pruned(0, 1), pruned(0, 2))
    assert not torch.equal(pruned(0, 1), pruned(1, 1))


@pytest.mark.parametrize("criterion", ["l1", "l2", "random"])
def test_torchs_random_state_is_left_as_it_was(criterion, build, context):
    model = build("residual")
    state = torch.get_rng_state()

    StructuredPruning(channel_fraction=0.5, criterion=criterion).apply(model, untrained(context()))

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("criterion", "stays"), [("l1", 1), ("l2", 0)])
def test_l2_prefers_one_large_weight_and_l1_many_middling_ones(criterion, stays, context):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False), nn.Linear(2, 10, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, 0] = 3.0
        model[1].weight[1, :16] = 0.5
        model[2].weight.fill_(1.0)
    expected = model[1].weight[stays].clone()

    StructuredPruning(channel_fraction=0.5, round_to=1, criterion=criterion).apply(model, untrained(context()))

    assert torch.equal(model[1].weight[0], expected)


def test_a_kept_layer_keeps_its_channels_and_those_it_is_added_to(build, context):
    model = StructuredPruning(channel_fraction=0.5, keep=("1.second",)).apply(build("residual"), context())

    assert widths(model) == [32, 16, 32, 32, 32, 32, 10]


def test_a_kept_block_keeps_every_layer_in_it(build, context):
    model = StructuredPruning(channel_fraction=0.5, keep=("2",)).apply(build("residual"), context())

    assert widths(model)[3:6] == [64, 64, 64]


def test_an_unknown_kept_layer_is_refused_with_the_nearest_name(build, context):
    with pytest.raises(TechniqueError, match=r"no layer '1.secnd'. Did you mean '1.second'\?"):
        StructuredPruning(channel_fraction=0.5, keep=("1.secnd",)).apply(build("residual"), context())


def test_nothing_removed_is_an_error_that_says_why(build, context):
    with pytest.raises(TechniqueError, match=r"nothing was removed: with round_to 64 .* lower round_to"):
        StructuredPruning(channel_fraction=0.5, round_to=64).apply(build("plain"), context())


def test_a_frozen_model_in_eval_mode_is_pruned_under_no_grad_and_stays_frozen(build, context):
    model = build("residual").eval().requires_grad_(False)
    model[1].train()

    with torch.no_grad():
        StructuredPruning(channel_fraction=0.5).apply(model, untrained(context()))

    assert widths(model)[0] == 16
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model[1].training
    assert not model[2].training


def test_batch_norm_statistics_of_the_channels_that_stay_are_not_touched_by_tracing(build, context):
    before = build("residual")
    after = StructuredPruning(channel_fraction=0.5).apply(copy.deepcopy(before).train(), untrained(context()))

    assert set(after[1].first_norm.running_mean.tolist()) <= set(before[1].first_norm.running_mean.tolist())


def test_no_hook_is_left(build, context):
    model = StructuredPruning(channel_fraction=0.5).apply(build("residual"), context())

    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def test_a_hidden_layer_as_wide_as_the_classes_are_many_is_no_classifier(context):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 10))

    StructuredPruning(channel_fraction=0.5, round_to=1).apply(model, untrained(context()))

    assert widths(model) == [5, 10]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "no convolution or linear layer before its classifier"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 32)), "no linear or convolution layer with 10 outputs"),
        (
            nn.Sequential(nn.Conv2d(1, 32, 1), Shuffle(), nn.Flatten(), nn.Linear(2048, 10)),
            "splits an axis of its features in two (a channel shuffle",
        ),
    ],
)
def test_what_cannot_be_pruned_is_a_problem_said_in_a_sentence(model, sentence, context):
    assert sentence in StructuredPruning(channel_fraction=0.5).problem(model, context())


def test_a_model_that_can_be_pruned_has_no_problem_and_is_not_changed_by_asking(build, context):
    model = build("residual")
    before = copy.deepcopy(model.state_dict())

    assert StructuredPruning(channel_fraction=0.5).problem(model, context()) is None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training


def test_a_model_whose_code_relies_on_a_width_is_refused_with_the_remedy(context):
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(64, 32)
            self.last = nn.Linear(32, 10)

        def forward(self, x):
            return self.last(torch.relu(self.first(x.flatten(1))) * torch.ones(32))

    with pytest.raises(TechniqueError, match=r"cannot run without the channels that were taken .* 'keep'"):
        StructuredPruning(channel_fraction=0.5).apply(Fixed(), context())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "densenet121"])
def test_torchvision_models_shrink_and_run(name, context):
    torchvision = pytest.importorskip("torchvision")
    ctx = untrained(context())
    ctx.images = torch.rand(96, 3, 64, 64)
    model = torchvision.models.get_model(name, num_classes=10)
    before = sum(parameter.numel() for parameter in model.parameters())

    assert StructuredPruning(channel_fraction=0.45).problem(model, ctx) is None
    StructuredPruning(channel_fraction=0.45).apply(model, ctx)

    assert sum(parameter.numel() for parameter in model.parameters()) < 0.4 * before
    assert model(*ctx.example).shape == (2, 10)
