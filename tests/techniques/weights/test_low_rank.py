"""Low rank: what the two layers compute, which layers are split, what is left, and that a folder keeps the split."""

import copy
import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdbench.errors import TechniqueError
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.stages import compress, torch_models
from kdbench.techniques.pruning.structured_pruning import StructuredPruning
from kdbench.techniques.pruning.unstructured_pruning import UnstructuredPruning
from kdbench.techniques.quantization.quantization_aware_training import QuantizationAwareTraining
from kdbench.techniques.weights._ranks import candidates
from kdbench.techniques.weights._split import decomposed, matrices, split, split_like
from kdbench.techniques.weights.low_rank import LowRank
from kdbench.techniques.weights.weight_sharing import WeightSharing

NETWORKS = ["plain", "residual", "depthwise", "grouped", "mlp"]


def macs(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 1, 8, 8))
    return counter.get_total_flops() // 2


def split_names(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if hasattr(module, "to_rank")]


LAYERS = {
    "3x3": lambda: (nn.Conv2d(8, 12, 3, padding=1), (2, 8, 9, 9)),
    "strided": lambda: (nn.Conv2d(8, 12, (3, 5), stride=(2, 3), padding=(1, 2), dilation=(1, 2)), (2, 8, 15, 17)),
    "same": lambda: (nn.Conv2d(8, 12, 3, padding="same", padding_mode="reflect", bias=False), (2, 8, 9, 9)),
    "1x3": lambda: (nn.Conv2d(8, 12, (1, 3), stride=2), (2, 8, 9, 9)),
    "1x1": lambda: (nn.Conv2d(8, 12, 1, stride=2), (2, 8, 9, 9)),
    "grouped": lambda: (nn.Conv2d(8, 12, 3, groups=4, stride=2), (2, 8, 9, 9)),
    "1d": lambda: (nn.Conv1d(8, 12, 3, stride=2, padding=1), (2, 8, 9)),
    "3d": lambda: (nn.Conv3d(4, 6, 3, stride=2, padding=1), (2, 4, 5, 5, 5)),
    "linear": lambda: (nn.Linear(8, 12), (2, 5, 8)),
}


@pytest.mark.parametrize("scheme", ["spatial", "channel"])
@pytest.mark.parametrize("name", LAYERS)
def test_at_full_rank_the_two_layers_compute_what_the_one_did(name, scheme):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]()
    inputs = torch.randn(shape)
    full = min(matrices(layer, scheme).shape[1:])

    with torch.no_grad():
        assert torch.allclose(split(layer, scheme, full, decomposed(layer, scheme))(inputs), layer(inputs), atol=1e-5)


def test_the_error_of_a_rank_is_that_of_the_singular_values_left_out():
    layer = nn.Linear(20, 30)
    values = torch.linalg.svdvals(layer.weight.detach())

    pair = split(layer, "channel", 7, decomposed(layer, "channel"))

    error = layer.weight - pair[1].weight @ pair[0].weight
    assert float(error.detach().norm()) == pytest.approx(float(values[7:].norm()), rel=1e-4)


def test_the_spatial_scheme_is_a_column_then_a_row_and_the_channel_scheme_a_kernel_then_a_point(build, context):
    spatial = LowRank(rank_fraction=0.25).apply(build("plain"), context())
    channel = LowRank(rank_fraction=0.25, scheme="channel").apply(build("plain"), context())

    assert [layer.kernel_size for layer in spatial[3]] == [(3, 1), (1, 3)]
    assert [layer.kernel_size for layer in channel[3]] == [(3, 3), (1, 1)]
    assert spatial[3].to_rank.out_channels == 24  # a quarter of 32 * 3
    assert channel[3].to_rank.out_channels == 8
    assert spatial[3].to_rank.bias is None


@pytest.mark.parametrize("scheme", ["spatial", "channel"])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_said_to_be_left_is_what_torchs_counter_counts(name, scheme, build, context):
    whole = build(name)
    found = candidates(whole, context().example, scheme, ())
    ranks = found.by_fraction(0.3)
    assert found.macs == macs(whole)

    model = LowRank(rank_fraction=0.3, scheme=scheme).apply(whole, context())

    assert macs(model) / found.macs == pytest.approx(found.left(ranks))
    assert split_names(model) == [one.name for one, rank in zip(found.layers, ranks, strict=True) if one.pays(rank)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mac_budget_is_met_and_not_by_much_more(name, build, context):
    before = macs(build(name))
    model = LowRank(mac_fraction=0.6).apply(build(name), context())

    assert 0.5 < macs(model) / before <= 0.6


def test_energy_is_the_share_of_the_squared_singular_values_that_is_kept(build, context):
    values = torch.linalg.svdvals(build("mlp")[1].weight.detach()).square()
    model = LowRank(energy=0.7, finetuned=False).apply(build("mlp"), context())

    rank = model[1].to_rank.out_features
    assert float(values[:rank].sum() / values.sum()) >= 0.7 > float(values[: rank - 1].sum() / values.sum())


def test_layers_that_would_not_get_cheaper_stay_and_the_note_names_them(build, context):
    ctx = context()
    model = LowRank(rank_fraction=0.5, scheme="channel").apply(build("depthwise"), ctx)

    assert isinstance(model[1], nn.Conv2d)  # depthwise
    assert isinstance(model[0], nn.Conv2d)  # one input channel
    (note,) = ctx.notes
    assert note.startswith("0, 1")
    assert "stayed whole" in note


def test_biases_and_normalisations_stay_and_kept_layers_too(build, context):
    before = build("residual").state_dict()
    technique = LowRank(rank_fraction=0.25, keep=("0", "2", "5"), finetuned=False)
    model = technique.apply(build("residual"), context())

    assert split_names(model) == ["1.first", "1.second"]
    kept = model.state_dict()
    for name in before:
        if "norm" in name or name[0] in "025":
            assert torch.equal(before[name], kept[name]), name


def test_fine_tuning_trains_both_layers_under_the_recipe_finetune(build, context):
    ctx = context(epochs=4)
    raw = LowRank(rank_fraction=0.25, finetuned=False).apply(build("plain"), context())
    tuned = LowRank(rank_fraction=0.25).apply(build("plain"), ctx)

    assert ctx.roles == ["finetune"]
    assert ctx.history.terms_by_epoch[-1]["ce"] < ctx.history.terms_by_epoch[0]["ce"]
    for mine, its in zip(raw[3], tuned[3], strict=True):
        assert not torch.equal(mine.weight, its.weight)


@pytest.mark.parametrize("scheme", ["spatial", "channel"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_architecture_is_split_again_for_a_state_dict(name, scheme, build, context):
    ctx = context()
    model = LowRank(rank_fraction=0.3, scheme=scheme).apply(build(name), ctx)
    again = build(name, seed=9)

    split_like(again, model.state_dict())
    again.load_state_dict(model.state_dict())

    with torch.no_grad():
        assert torch.equal(again.eval()(ctx.images), model(ctx.images))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_exported_file_agrees(name, build, context, export, run):
    ctx = context()
    model = LowRank(rank_fraction=0.3).apply(build(name), ctx)

    with torch.no_grad():
        assert np.allclose(run(export(model), ctx.images.numpy()), model(ctx.images).numpy(), atol=1e-4)


CNN = PartSpec("model", "cnn", 1, {"channels": [16, 32, 32]})
NAMES = {"pruned": "structured_pruning", "quantized": "quantization_aware_training"}


@pytest.mark.parametrize("then", ["nothing", "pruned", "quantized"])
def test_a_folder_keeps_the_split_after_pruning_and_before_pruning_or_8_bits(then, context, tmp_path):
    ctx = context()
    steps = {"structured_pruning": StructuredPruning(channel_fraction=0.25), "low_rank": LowRank(rank_fraction=0.5)}
    if then == "pruned":
        steps[then] = StructuredPruning(channel_fraction=0.25)
    if then == "quantized":
        steps[then] = QuantizationAwareTraining(samples=8)
    model = torch_models.fresh(CNN, ctx.task, 0)
    for technique in steps.values():
        model = technique.apply(model, ctx)

    changed_by = [spec_of("technique", NAMES.get(name, name), technique) for name, technique in steps.items()]
    torch_models.save(model, CNN, tmp_path, changed_by)
    loaded = torch_models.load(tmp_path, ctx.task, torch.device("cpu"))

    assert json.loads((tmp_path / "model.json").read_text())["fields"] == CNN.fields
    with torch.no_grad():
        assert torch.equal(loaded(ctx.images), model(ctx.images))


def test_the_channels_between_the_two_are_no_channels_of_the_network(build, context):
    model = build("residual")
    before = compress.widths(model, build("residual"))

    split = LowRank(rank_fraction=0.25).apply(model, context())

    assert compress.widths(split, build("residual")) == before


def test_a_second_time_there_is_nothing_more_to_split(context):
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    ctx = context()
    model = LowRank(rank_fraction=0.2).apply(network(), ctx)
    assert split_names(model) == ["1", "3"]
    assert "all of them are already" in LowRank(rank_fraction=0.2).problem(model, ctx)


def test_an_attentions_projection_whose_weight_is_read_elsewhere_stays(context):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.last = nn.Linear(64, 10)

        def forward(self, x):
            x = x[:, 0]
            return self.last(self.attention(x, x, x, need_weights=False)[0].flatten(1))

    model = LowRank(rank_fraction=0.3).apply(Net(), context())
    assert split_names(model) == ["last"]


@pytest.mark.parametrize(
    ("technique", "sentence"),
    [
        (LowRank(rank_fraction=0.99), "nothing was factorised: at the ranks asked for"),
        (LowRank(rank_fraction=0.3, keep=("1", "3", "5")), "nothing was factorised"),
        (LowRank(mac_fraction=0.01), r"mac_fraction 0.01 cannot be met: .* smallest reachable is 0\.\d+; ask for that"),
        (LowRank(rank_fraction=0.5, keep=("9",)), "no layer '9'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(technique, sentence, build, context):
    before = copy.deepcopy(build("mlp").state_dict())
    model = build("mlp")

    with pytest.raises(TechniqueError, match=sentence):
        technique.apply(model, context())

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_smallest_reachable_budget_is_reachable(build, context):
    with pytest.raises(TechniqueError) as error:
        LowRank(mac_fraction=0.01).apply(build("mlp"), context())

    least = float(str(error.value).split("reachable is ")[1].split(";")[0])
    model = LowRank(mac_fraction=least).apply(build("mlp"), context())
    assert [model.get_submodule(name).to_rank.out_features for name in split_names(model)] == [1, 1, 1]


@pytest.mark.parametrize("fields", [{}, {"rank_fraction": 0.5, "energy": 0.5}, {"mac_fraction": 0.5, "energy": 0.9}])
def test_exactly_one_amount_is_given(fields):
    with pytest.raises(ValidationError, match="give one of rank_fraction, energy and mac_fraction"):
        LowRank.from_fields(fields)


def test_a_teacher_may_recover_it_with_features_of_a_split_layer(build, context):
    ctx = context(teacher=build("residual", seed=7))
    distil = {"fitnet": {"student_layer": "1.second", "teacher_layer": "1.second"}}
    model = LowRank(rank_fraction=0.25, distil=distil).apply(build("residual"), ctx)

    assert "1.second" in split_names(model)
    assert "fitnet" in ctx.history.terms_by_epoch[0]


def test_after_zeros_or_shared_weights_it_makes_no_sense_even_without_training():
    technique = LowRank(rank_fraction=0.5, finetuned=False)

    for earlier in (UnstructuredPruning(weight_fraction=0.5), WeightSharing(bits=4)):
        assert technique.refuses_after(earlier).startswith("it makes new weights of the old ones")
    assert technique.refuses_after(StructuredPruning(channel_fraction=0.5)) is None
