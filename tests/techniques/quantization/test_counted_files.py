"""What a size record will say of the files that techniques write, beside the network they came from."""

import onnx
import pytest
from torch import nn

from kdbench.stages._contents import contents, counts
from kdbench.techniques.quantization.dynamic_quantization import DynamicQuantization
from kdbench.techniques.quantization.half_precision import HalfPrecision
from kdbench.techniques.quantization.static_quantization import StaticQuantization
from kdbench.techniques.quantization.weight_only_quantization import WeightOnlyQuantization

STATIC = StaticQuantization(samples=64, activation_type="uint8")
PACKED = WeightOnlyQuantization(smallest_layer=1)


def half_zero() -> nn.Module:
    """64 weights into 10, half of which are zero; no bias is."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    network[1].weight.data[:, ::2] = 0.0
    network[1].bias.data.fill_(1.0)
    return network


@pytest.mark.parametrize("technique", [STATIC, DynamicQuantization(), PACKED, HalfPrecision()])
def test_a_file_has_the_parameters_of_its_network_and_its_zeros(technique, context, export):
    network = half_zero()

    found = counts(onnx.load(technique.apply(export(network), context())))

    assert found["parameter_count"] == 64 * 10 + 10
    assert 0.8 * (32 * 10 + 10) <= found["nonzero_parameter_count"] <= 32 * 10 + 10


@pytest.mark.parametrize(("technique", "in_float"), [(STATIC, 0), (DynamicQuantization(), 0), (HalfPrecision(), 3)])
def test_layers_left_in_float_are_those_whose_weights_are(technique, in_float, context, exported):
    found = contents(onnx.load(technique.apply(exported("mlp"), context())))

    assert (found["layer_count"], found["float_layer_count"]) == (3, in_float)


def test_an_excluded_layer_is_left_in_float(context, exported):
    path = WeightOnlyQuantization(smallest_layer=256, exclude=("3",)).apply(exported("mlp"), context())

    found = contents(onnx.load(path))

    assert (found["layer_count"], found["float_layer_count"]) == (3, 1)
    assert 0 < found["quantized_weight_fraction"] < 1
