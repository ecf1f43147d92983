"""Weight sharing: how many values a layer holds, in the network and in its file, and that their members move as one."""

import copy
import gzip

import numpy as np
import onnx
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning.unstructured_pruning import UnstructuredPruning
from kdbench.techniques.weights import _folding
from kdbench.techniques.weights._sharing import kmeans
from kdbench.techniques.weights.weight_sharing import WeightSharing

NETWORKS = ["plain", "residual", "depthwise", "grouped", "mlp"]


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [m.weight.detach() for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def value_counts(model: nn.Module) -> list[int]:
    return [len(weight.unique()) for weight in weights(model)]


def trained_a_little(name, build, context):
    return context(epochs=3).fit(build(name))


def test_kmeans_finds_the_clusters_that_are_there_and_a_round_more_moves_nothing():
    values = torch.cat([centre + 0.01 * torch.randn(50) for centre in (-3.0, -1.2, 0.8, 3.0)])

    codes = kmeans(values, 4)

    assert codes.tolist() == [0] * 50 + [1] * 50 + [2] * 50 + [3] * 50
    scattered = torch.randn(1000)
    codes = kmeans(scattered, 8)
    used = codes.unique()
    means = torch.stack([scattered[codes == code].double().mean() for code in used])
    nearest = (scattered.double()[:, None] - means).abs().argmin(1)
    assert torch.equal(used[nearest], codes)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("fields", "count"), [({"bits": 3}, 8), ({"clusters": 5}, 5)])
def test_each_layer_holds_at_most_so_many_values_after_fine_tuning(name, fields, count, build, context):
    ctx = context(epochs=3)
    model = WeightSharing(**fields).apply(trained_a_little(name, build, context), ctx)

    assert ctx.roles == ["finetune"]
    assert max(value_counts(model)) <= count
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(parameter._backward_hooks for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_so_does_the_exported_file_though_batchnorm_is_folded_into_it(name, build, context, export, run):
    ctx = context(epochs=3)
    model = WeightSharing(bits=4).apply(trained_a_little(name, build, context), ctx)

    path = export(model)
    graph = onnx.load(path).graph
    held = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if len(tensor.dims) > 1]
    assert len(held) == len(weights(model))
    assert max(len(np.unique(weight)) for weight in held) <= 16
    assert not any(node.op_type == "BatchNormalization" for node in graph.node)
    with torch.no_grad():
        assert np.allclose(run(path, ctx.images.numpy()), model(ctx.images).numpy(), atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_values_move_in_training_and_their_members_stay_together(optimizer, build, context):
    ctx = context(epochs=3)
    ctx.recipe = ctx.recipe.model_copy(update={"optimizer": optimizer, "weight_decay": 0.01, "learning_rate": 0.01})
    before = WeightSharing(bits=3, finetuned=False).apply(trained_a_little("residual", build, context), context())
    fit, drift = ctx.fit, []

    def watched(model, *args, **options):
        fit(model, *args, **options)
        for old, new in zip(weights(before), weights(model), strict=True):
            drift.extend(float(new[old == value].max() - new[old == value].min()) for value in old.unique())
        return model

    ctx.fit = watched
    after = WeightSharing(bits=3).apply(trained_a_little("residual", build, context), ctx)

    assert max(drift) < 1e-6  # rounding alone: nothing had to be pulled together afterwards
    for old, new in zip(weights(before), weights(after), strict=True):
        assert not torch.equal(old, new)
        for value in old.unique():
            assert len(new[old == value].unique()) == 1


def test_before_fine_tuning_each_weight_is_the_mean_of_its_cluster(context):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = model[1].weight.detach().clone()

    after = WeightSharing(bits=2, finetuned=False).apply(model, context())[1].weight.detach()

    for value in after.unique():
        assert float(before[after == value].double().mean()) == pytest.approx(float(value), abs=1e-7)


def test_fine_tuning_wins_back_accuracy(build, context):
    ctx = context(epochs=8)
    trained = ctx.fit(build("mlp"))

    def loss(model: nn.Module) -> float:
        with torch.no_grad():
            return float(nn.functional.cross_entropy(model(ctx.images), ctx.targets))

    raw = WeightSharing(bits=2, finetuned=False).apply(copy.deepcopy(trained), context())
    tuned = WeightSharing(bits=2).apply(copy.deepcopy(trained), ctx)
    assert loss(tuned) < loss(raw)


def test_pruned_weights_stay_zero_and_zero_is_one_of_the_values(build, context):
    pruned = UnstructuredPruning(weight_fraction=0.5).apply(build("plain"), context())
    zeros = [weight == 0 for weight in weights(pruned)]

    model = WeightSharing(bits=2).apply(pruned, context(epochs=3))

    assert max(value_counts(model)) <= 4
    assert all(bool((weight[zero] == 0).all()) for weight, zero in zip(weights(model), zeros, strict=True))


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
def test_folding_changes_no_answer_and_leaves_a_scale_of_one(name, build, context):
    model, ctx = trained_a_little(name, build, context), context()
    with torch.no_grad():
        before = model(ctx.images)
        norms = _folding.fold(model, ctx.example, list(model.modules()))
        after = model(ctx.images)

    assert len(norms) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert torch.allclose(before, after, atol=1e-5)
    for norm in norms:
        assert torch.equal(norm.weight / (norm.running_var + norm.eps).sqrt(), torch.ones_like(norm.weight))


def test_kept_layers_and_their_batchnorm_stay_as_they_are(build, context):
    trained = trained_a_little("plain", build, context)
    model = WeightSharing(bits=2, keep=("0", "6"), finetuned=False).apply(copy.deepcopy(trained), context())

    for name in ("0", "1", "6"):
        for key, tensor in trained.get_submodule(name).state_dict().items():
            assert torch.equal(tensor, model.get_submodule(name).state_dict()[key]), (name, key)
    assert len(model[3].weight.unique()) <= 4


def test_the_file_stays_as_large_and_gzip_alone_shows_it_which_the_note_says(build, context, export):
    plain = export(build("plain")).read_bytes()
    ctx = context()
    shared = export(WeightSharing(bits=3).apply(build("plain"), ctx)).read_bytes()

    assert abs(len(shared) - len(plain)) < 200
    assert len(gzip.compress(shared, 6)) < 0.3 * len(gzip.compress(plain, 6))
    assert ctx.notes == ["the file stays float32 and as large: only gzip and zstd show the 8 values a layer holds."]


def test_a_network_that_cannot_be_traced_is_shared_all_the_same_and_the_note_says_what_that_means(context):
    class Choosing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.last = nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.Linear(16, 10)

        def forward(self, x):
            x = self.norm(self.conv(x))
            return self.last((x if x.sum() > 0 else -x).mean((2, 3)))

    ctx = context()
    model = WeightSharing(bits=2).apply(Choosing(), ctx)

    assert max(value_counts(model)) <= 4
    assert any("a layer of the file may hold more values" in note for note in ctx.notes)


def test_a_network_that_holds_no_more_values_is_refused(build, context):
    model = WeightSharing(bits=2).apply(build("mlp"), context())

    with pytest.raises(TechniqueError, match="nothing was shared: no layer holds more than 4 values"):
        WeightSharing(bits=2).apply(model, context())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "give either bits or clusters"),
        ({"bits": 4, "clusters": 16}, "give either bits or clusters"),
        ({"bits": 0}, "greater than or equal to 1"),
        ({"clusters": 1}, "greater than or equal to 2"),
    ],
)
def test_an_amount_that_makes_no_sense_is_one_sentence(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        WeightSharing.from_fields(fields)


def test_what_it_cannot_work_on_is_said_in_a_sentence(build, context):
    problem = WeightSharing(bits=4).problem(nn.Sequential(nn.Flatten()), context())
    assert problem == "the model has no convolution and no linear layer whose weights could share."
    with pytest.raises(TechniqueError, match=r"no layer '7'"):
        WeightSharing(bits=4, keep=("7",)).apply(build("plain"), context())


def test_a_teacher_may_recover_it(build, context):
    ctx = context(teacher=build("residual", seed=7))
    model = WeightSharing(bits=3, distil="soft_distillation").apply(build("residual"), ctx)

    assert ctx.teacher_calls
    assert max(value_counts(model)) <= 8
