"""A pruned network comes back from its declaration and its state dict."""

import pytest
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning.structured_pruning import StructuredPruning
from kdbench.techniques.surgery import fit_shapes


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "grouped", "mlp"])
def test_a_pruned_network_rebuilt_from_shapes_gives_the_same_outputs_to_the_bit(name, build, context):
    ctx = context(epochs=1)
    pruned = StructuredPruning(channel_fraction=0.5).apply(build(name), ctx).eval()

    again = build(name, seed=5).eval()
    fit_shapes(again, pruned.state_dict())
    again.load_state_dict(pruned.state_dict())

    assert torch.equal(again(ctx.images), pruned(ctx.images))


def test_the_layers_say_their_new_channel_counts(build, context):
    model = StructuredPruning(channel_fraction=0.5).apply(build("depthwise"), context(epochs=1))

    assert (model[0].in_channels, model[0].out_channels) == (1, 16)
    assert (model[1].in_channels, model[1].out_channels, model[1].groups) == (16, 16, 16)
    assert model[2].num_features == 16
    assert (model[-1].in_features, model[-1].out_features) == (32, 10)


def test_layers_that_fit_already_keep_their_parameters(build):
    model = build("residual")
    before = list(model.parameters())

    fit_shapes(model, build("residual", seed=1).state_dict())

    assert all(old is new for old, new in zip(before, model.parameters(), strict=True))


def test_a_frozen_layer_stays_frozen(build, context):
    pruned = StructuredPruning(channel_fraction=0.5).apply(build("mlp"), context(epochs=1))
    model = build("mlp")
    model[1].weight.requires_grad_(False)

    fit_shapes(model, pruned.state_dict())

    assert not model[1].weight.requires_grad
    assert model[1].bias.requires_grad


def test_a_batch_norm_without_weights_is_resized_too():
    model, other = nn.BatchNorm1d(8, affine=False), nn.BatchNorm1d(4, affine=False)

    fit_shapes(model, other.state_dict())

    assert model.num_features == 4
    assert model.running_var.shape == (4,)


def test_layers_that_the_given_tensors_do_not_name_stay_as_they_are(build):
    model = build("plain")
    before = {name: tensor.shape for name, tensor in model.state_dict().items()}

    fit_shapes(model, {"3.bias": torch.zeros(32), "unknown.weight": torch.zeros(1)})

    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == before


def test_a_layer_that_cannot_be_resized_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4))
    other = nn.Sequential(nn.Linear(4, 2), nn.PReLU(2))

    with pytest.raises(TechniqueError, match=r"'1.weight' \(PReLU\) has another shape"):
        fit_shapes(model, other.state_dict())


class Scaled(nn.Module):
    """A parameter of a network's own module, no layer's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(width))

    def forward(self, x):
        return self.scale * x


@pytest.mark.parametrize("layer", [nn.LayerNorm, lambda width: nn.GroupNorm(2, width), Scaled])
def test_normalisations_and_loose_parameters_are_resized_too(layer):
    torch.manual_seed(0)
    model, other = nn.Sequential(nn.Linear(4, 8), layer(8)), nn.Sequential(nn.Linear(4, 4), layer(4))

    fit_shapes(model, other.state_dict())
    model.load_state_dict(other.state_dict())

    inputs = torch.rand(3, 4)
    assert torch.equal(model(inputs), other(inputs))


def test_a_loose_parameter_with_other_axes_is_refused():
    model, other = Scaled(4), Scaled(4)
    other.scale = nn.Parameter(torch.rand(4, 1))

    with pytest.raises(TechniqueError, match=r"'scale' \(Scaled\) has another shape"):
        fit_shapes(model, other.state_dict())


def test_another_kernel_size_is_refused():
    with pytest.raises(TechniqueError, match=r"'weight' \(Conv2d\)"):
        fit_shapes(nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 5).state_dict())
