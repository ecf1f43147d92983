"""Taps collect what modules give or take, in order, and leave nothing behind."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.taps import shapes, tapped


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 3))


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


INPUT = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_features_come_in_the_order_asked_for_and_belong_to_the_latest_pass():
    model = network()
    with tapped(model, ("4", "0"), "student") as taps:
        model(torch.zeros(2, 1, 8, 8))
        logits = model(INPUT)
    last, first = taps.features

    assert torch.equal(last, logits)
    assert torch.equal(first, model[0](INPUT))


def test_what_goes_into_a_relu_is_kept_even_where_the_relu_works_in_place():
    model = network().eval()
    with tapped(model, ("2",), "student", "input") as taps:
        model(INPUT)
    (before,) = taps.features

    assert torch.equal(before, model[1](model[0](INPUT)))
    assert (before < 0).any()


def test_gradients_flow_from_a_tap_to_the_layers_before_it_alone():
    model = network()
    with tapped(model, ("2",), "student", "input") as taps:
        model(INPUT)
    taps.features[0].square().sum().backward()

    assert model[0].weight.grad.abs().sum() > 0
    assert model[4].weight.grad is None


def test_no_hook_is_left_even_where_the_work_fails():
    model = network()
    with pytest.raises(RuntimeError, match="failed with 2 hooks"), tapped(model, ("0", "2"), "student"):
        raise RuntimeError(f"failed with {hooks(model)} hooks")

    assert hooks(model) == 0


@pytest.mark.parametrize("path", ["9", "conv", "layer1"])
def test_a_layer_that_the_network_has_not_is_answered_with_those_it_has(path):
    model = network()
    with (
        pytest.raises(TechniqueError, match=rf"the student has no layer '{path}'\. .*0, 1, 2, 3, 4\."),
        tapped(model, ("0", path), "student"),
    ):
        pass

    assert hooks(model) == 0


def test_a_layer_close_to_the_one_named_is_offered_first():
    model = nn.Sequential()
    model.layer1, model.layer2 = nn.Linear(2, 2), nn.Linear(2, 2)

    with (
        pytest.raises(TechniqueError, match=r"Did you mean 'layer2'\? It has: layer1, layer2\."),
        tapped(model, ("layer22",), "teacher"),
    ):
        pass


def test_an_architecture_without_default_layers_asks_for_a_name():
    with (
        pytest.raises(TechniqueError, match=r"names no default layer; name one in the suite: 0, 1, 2, 3, 4\."),
        tapped(network(), ("",), "student"),
    ):
        pass


def test_a_layer_that_gives_no_single_tensor_is_refused():
    model = nn.LSTM(3, 3)
    holder = nn.Sequential(model)
    with (
        tapped(holder, ("0",), "teacher"),
        pytest.raises(TechniqueError, match="layer '0' has a tuple, not one tensor"),
    ):
        holder(torch.zeros(2, 3))


def test_a_layer_that_does_not_work_in_a_pass_is_named():
    model = network()
    model.spare = nn.Identity()
    model.forward = lambda x: model[0](x)
    with tapped(model, ("0", "spare"), "student") as taps:
        model(INPUT)
        with pytest.raises(TechniqueError, match="the student's layer 'spare' does not work in a pass"):
            _ = taps.features


def test_finding_out_shapes_changes_nothing():
    model = network()
    model[1].eval()  # as someone froze it
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with tapped(model, ("0", "4"), "student") as taps:
        found = shapes(model, taps, SimpleNamespace(example=(INPUT[:2],)))

    assert found == [(4, 6, 6), (3,)]
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
