"""Structured pruning: smaller tensors, widths that round, a classifier that stays, and what it refuses."""

import copy

import numpy as np
import onnx
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning._coupling import trace
from kdbench.techniques.pruning._widths import macs
from kdbench.techniques.pruning.structured_pruning import StructuredPruning


def widths(model: nn.Module) -> list[int]:
    return [m.weight.shape[0] for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def untrained(ctx):
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): model
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
        ("grouped", [32, 32, 10]),
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


@pytest.mark.parametrize("criterion", ["l1", "l2", "batchnorm_scale", "taylor", "random"])
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
            "is tied to its outputs or goes through a channel shuffle, so none can go.",
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


def test_channels_stay_that_are_shuffled_or_added_to_what_was_and_the_note_says_so(context):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 32, 1)
            self.shuffle = Shuffle()
            self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
            self.inner = nn.Conv2d(32, 64, 1)
            self.outer = nn.Conv2d(64, 32, 1)
            self.last = nn.Linear(32, 10)

        def forward(self, x):
            x = self.shuffle(self.first(x))
            return self.last((x + self.outer(torch.relu(self.inner(self.depthwise(x))))).mean((2, 3)))

    ctx = untrained(context())
    model = pruned(Net(), ctx)

    assert widths(model) == [32, 32, 32, 32, 10]
    assert ctx.notes == ["channels that go through a shuffle stayed; the amount holds for the others, 38% of all."]


def test_attention_is_refused_with_the_reason(context):
    class Attentive(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(8, 32)
            self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
            self.last = nn.Linear(32, 10)

        def forward(self, x):
            x = self.first(x[:, 0])
            return self.last(self.attention(x, x, x)[0].mean(1))

    problem = StructuredPruning(channel_fraction=0.5).problem(Attentive(), context())

    assert problem.startswith("the model computes attention, whose heads")


CRITERIA = ["l1", "l2", "batchnorm_scale", "taylor", "random"]


def pruned(model: nn.Module, ctx, **fields) -> nn.Module:
    fields = {"channel_fraction": 0.5, **fields} if "mac_fraction" not in fields else fields
    return StructuredPruning.from_fields(fields).apply(model, ctx)


def mac_count(model: nn.Module, ctx) -> int:
    return macs(trace(model, ctx.example, (10,)))


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_and_scope_gives_a_network_that_trains(criterion, scope, build, context):
    ctx = context()
    model = pruned(build("residual"), ctx, criterion=criterion, scope=scope, round_to=4)

    assert sum(widths(model)) < sum(widths(build("residual")))
    assert ctx.history.terms_by_epoch[-1]["ce"] < ctx.history.terms_by_epoch[0]["ce"]


def test_a_narrow_layer_keeps_round_to_channels_and_not_all_of_them(context):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 32), nn.Linear(32, 10))

    assert widths(pruned(model, untrained(context()))) == [8, 16, 10]


def test_groups_of_a_grouped_convolution_lose_equally_many(context):
    model = nn.Sequential(
        nn.Conv2d(1, 48, 1), nn.Conv2d(48, 48, 3, groups=3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10)
    )
    model = pruned(model, untrained(context()), channel_fraction=0.4)

    assert widths(model)[:2] == [24, 24]
    assert model[1].weight.shape == (24, 8, 3, 3)


def test_where_groups_and_round_to_cannot_both_hold_round_to_gives_way(context):
    model = nn.Sequential(
        nn.Conv2d(1, 52, 1), nn.Conv2d(52, 52, 3, groups=13), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(52, 10)
    )

    assert widths(pruned(model, untrained(context())))[:2] == [26, 26]


def test_global_takes_channels_where_they_matter_least_and_uniform_from_everywhere(build, context):
    def silent_first() -> nn.Module:
        model = build("mlp")
        with torch.no_grad():
            model[1].weight[:32] *= 1e-3
            model[3].weight[:, :32] *= 1e-3
        return model

    assert widths(pruned(silent_first(), untrained(context()), channel_fraction=1 / 3, scope="global")) == [32, 32, 10]
    assert widths(pruned(silent_first(), untrained(context()), channel_fraction=1 / 3)) == [40, 16, 10]


def test_a_layer_is_never_removed_whole_even_where_it_matters_least(build, context):
    model = build("mlp")
    with torch.no_grad():
        model[3].weight *= 1e-3
        model[5].weight *= 1e-3

    assert widths(pruned(model, untrained(context()), scope="global", criterion="taylor", channel_fraction=0.4))[1] == 8


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("budget", [0.8, 0.5, 0.2])
@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "grouped", "mlp"])
def test_a_mac_budget_is_met_and_nearly_used(name, budget, scope, build, context):
    ctx = untrained(context())
    before = mac_count(build(name), ctx)

    share = mac_count(pruned(build(name), ctx, mac_fraction=budget, scope=scope, round_to=1), ctx) / before

    assert budget - 0.06 < share <= budget


def test_a_mac_budget_holds_after_rounding(build, context):
    ctx = untrained(context())
    before = mac_count(build("residual"), ctx)
    model = pruned(build("residual"), ctx, mac_fraction=0.5)

    assert mac_count(model, ctx) <= 0.5 * before
    assert all(width % 8 == 0 for width in widths(model)[:-1])


def test_a_budget_that_cannot_be_met_is_refused_with_the_smallest_that_can(build, context):
    with pytest.raises(
        TechniqueError, match=r"mac_fraction 0.01 cannot be met: .* smallest reachable is (0\.\d+);"
    ) as error:
        pruned(build("residual"), untrained(context()), mac_fraction=0.01)

    least = float(str(error.value).split("reachable is ")[1].split(";")[0])
    assert mac_count(pruned(build("residual"), untrained(context()), mac_fraction=least), untrained(context())) > 0
    with pytest.raises(TechniqueError, match="cannot be met"):
        pruned(build("residual"), untrained(context()), mac_fraction=least - 0.001)


def test_steps_share_one_fine_tunings_epochs_and_end_at_the_same_widths(build, context):
    once, often = context(epochs=4), context(epochs=4)
    expected = widths(pruned(build("residual"), once))

    assert widths(pruned(build("residual"), often, steps=2)) == expected
    assert [history.epoch_count for history in once.histories] == [4]
    assert [history.epoch_count for history in often.histories] == [2, 2]


def test_steps_go_halfway_and_then_the_rest(build, context):
    ctx, seen = context(), []
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): seen.append(widths(model)) or model
    pruned(build("mlp"), ctx, steps=2, round_to=1)

    assert seen == [[48, 24, 10], [32, 16, 10]]


def test_steps_reach_a_mac_budget_of_the_network_as_it_came(build, context):
    ctx = untrained(context())
    before = mac_count(build("residual"), ctx)
    model = pruned(build("residual"), ctx, mac_fraction=0.3, steps=3, round_to=1)

    assert 0.25 * before < mac_count(model, ctx) <= 0.3 * before


def test_random_steps_draw_anew_each_time(build, context):
    ctx = untrained(context())
    twice = pruned(build("mlp"), ctx, steps=2, criterion="random")

    assert not torch.equal(twice[1].weight, pruned(build("mlp"), ctx, criterion="random")[1].weight)


def test_taylor_removes_what_the_labels_loss_does_not_need(context):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        model[1].weight[8:] *= 10  # large, but never active: no gradient
        model[1].bias[8:] = -1000
    expected = model[1].weight[:8].clone()

    assert torch.equal(pruned(model, untrained(context()), criterion="taylor")[1].weight, expected)


def test_batchnorm_scale_goes_by_gamma_and_says_what_it_left_whole(build, context):
    ctx, model = untrained(context()), build("plain")
    with torch.no_grad():
        model[1].weight[:16] = 0.1
    expected = model[0].weight[16:].clone()
    model = pruned(model, ctx, criterion="batchnorm_scale")

    assert torch.equal(model[0].weight, expected)
    assert widths(model) == [16, 32, 10]
    assert ctx.notes == ["batchnorm_scale left the channels of 3 whole: no BatchNorm scales them."]


def test_batchnorm_scale_without_batchnorm_is_a_problem(build, context):
    problem = StructuredPruning(channel_fraction=0.5, criterion="batchnorm_scale").problem(build("mlp"), context())

    assert problem == "criterion batchnorm_scale ranks channels by BatchNorm's scale, and the model has no BatchNorm."


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "grouped", "mlp"])
def test_reinitialize_trains_new_weights_in_the_same_shape_under_the_training_recipe(name, build, context):
    ctx = context(architecture=name)
    kept, model = pruned(build(name), untrained(context())), pruned(build(name), ctx, reinitialize=True)

    assert widths(model) == widths(kept)
    assert ctx.roles == ["train"]
    assert StructuredPruning(channel_fraction=0.5, reinitialize=True).trains_under() == {"train"}


def test_reinitialized_weights_have_the_spread_of_a_layer_born_in_that_size(context):
    ctx = untrained(context(architecture="mlp"))
    ctx.fresh = lambda number, model=None: torch.manual_seed(number) and wide()
    model = pruned(wide(), ctx, channel_fraction=0.75, reinitialize=True)
    torch.manual_seed(5)
    born = nn.Linear(128, 10)

    assert float(model[3].weight.detach().std()) == pytest.approx(float(born.weight.detach().std()), rel=0.1)
    assert float(model[3].weight.detach().abs().max()) <= 128**-0.5


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))


def test_reinitialize_refuses_a_student_whose_new_networks_are_all_the_same(build, context):
    ctx = untrained(context())
    ctx.fresh = lambda number, model=None: build("mlp")

    with pytest.raises(TechniqueError, match="starts from a weights file"):
        pruned(build("mlp"), ctx, reinitialize=True)


def test_unknown_layers_are_refused_with_the_legal_ones(build, context):
    with pytest.raises(TechniqueError, match=r"keep: the model has no layer 'fc1'. .*0, 1, 1.first, 1.second, 2, "):
        pruned(build("residual"), context(), keep=["fc1"])


def test_keeping_everything_removes_nothing_which_is_an_error(build, context):
    with pytest.raises(TechniqueError, match="nothing was removed: every layer is kept"):
        pruned(build("mlp"), context(), keep=["1", "3"])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give either channel_fraction or mac_fraction"),
        ({"channel_fraction": 0.5, "mac_fraction": 0.5}, "give either channel_fraction or mac_fraction"),
        ({"channel_fraction": 0.0}, "greater than 0"),
        ({"channel_fraction": 1.0}, "less than 1"),
        ({"mac_fraction": 0.0}, "greater than 0"),
        ({"mac_fraction": 1.0}, "less than 1"),
        ({"channel_fraction": 0.5, "criterion": "l3"}, "'l1', 'l2', 'batchnorm_scale', 'taylor' or 'random'"),
        ({"channel_fraction": 0.5, "steps": 2, "reinitialize": True}, "leave steps out"),
        ({"channel_fraction": 0.5, "finetuned": False, "reinitialize": True}, "finetuned cannot be false"),
        ({"channel_fraction": 0.5, "finetuned": False, "steps": 2}, "finetuned cannot be false"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        StructuredPruning.from_fields(fields)


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "grouped", "mlp"])
def test_the_exported_file_has_the_smaller_shapes_and_the_same_answers(name, build, context, export, run):
    ctx = context()
    model = pruned(build(name), ctx, scope="global", round_to=4)
    path = export(model)

    expected = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    stored = [tuple(tensor.dims) for tensor in onnx.load(path).graph.initializer if len(tensor.dims) > 1]
    assert sorted(stored) == sorted(expected)
    assert np.allclose(run(path, ctx.images.numpy()), model(ctx.images).detach().numpy(), atol=1e-4)
