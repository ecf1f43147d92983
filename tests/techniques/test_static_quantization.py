"""Static quantization: what the runtime really runs in int8, what each target gets, and what is refused."""

import logging
import platform

import numpy as np
import onnx
import pytest

from kdbench.errors import DataError, TechniqueError
from kdbench.protocols import Destination
from kdbench.techniques.static_quantization import StaticQuantization

X86 = platform.machine() in ("x86_64", "AMD64")
UINT8 = StaticQuantization(activation_type="uint8", samples=32)


def zero_points(path) -> set[int]:
    """Data types of the zero points of quantized activations."""
    graph = onnx.load(path).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {types[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_the_whole_residual_net_runs_in_int8_and_answers_as_before(method, context, exported, run, kernels):
    ctx, source = context(), exported("residual")

    result = StaticQuantization(activation_type="uint8", method=method, samples=96).apply(source, ctx)

    images, types = ctx.images.numpy(), kernels(result)
    expected = run(source, images)
    assert result == ctx.out / "model.onnx"
    assert np.corrcoef(run(result, images).ravel(), expected.ravel())[0, 1] > 0.99
    assert result.stat().st_size < 0.4 * source.stat().st_size
    if X86:
        assert types.count("QLinearConv") == 6
        assert "Conv" not in types


@pytest.mark.skipif(not X86, reason="a fact about x86 kernels")
def test_on_x86_signed_activations_leave_convolutions_in_float(context, exported, kernels):
    signed = StaticQuantization(activation_type="int8", samples=32).apply(exported("residual"), context())

    assert "Conv" in kernels(signed)


@pytest.mark.parametrize(
    ("provider", "machine", "expected"),
    [
        ("cpu", "x86_64", "uint8"),
        ("cpu", "AMD64", "uint8"),
        ("openvino", "x86_64", "uint8"),
        ("cpu", "aarch64", "int8"),
        ("cpu", "arm64", "int8"),
        ("coreml", "arm64", "int8"),
        ("tensorrt", "x86_64", "int8"),
    ],
)
def test_auto_becomes_what_the_target_is_fast_with(provider, machine, expected):
    settled = StaticQuantization().settle(Destination(provider=provider, machine=machine))

    assert settled == StaticQuantization(activation_type=expected)


def test_a_written_type_is_not_changed_by_the_target():
    assert UINT8.settle(Destination(provider="tensorrt", machine="aarch64")) is UINT8


@pytest.mark.parametrize(("name", "data_type"), [("uint8", onnx.TensorProto.UINT8), ("int8", onnx.TensorProto.INT8)])
def test_the_file_holds_the_activation_type_that_was_asked_for(name, data_type, context, exported):
    technique = StaticQuantization(activation_type=name, samples=32)

    assert zero_points(technique.apply(exported("residual"), context())) == {data_type}


def test_int8_activations_are_symmetric_as_tensorrt_wants_them(context, exported):
    path = StaticQuantization(activation_type="int8", samples=32).apply(exported("residual"), context())

    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert all((values[node.input[2]] == 0).all() for node in graph.node if node.op_type == "QuantizeLinear")


def test_weights_are_int8_with_one_scale_a_channel(context, exported):
    path = UINT8.apply(exported("residual"), context())

    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [
        node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(0)).ndim == 4
    ]
    assert len(kernels) == 6
    for node in kernels:
        assert values[node.input[0]].dtype == np.int8
        assert values[node.input[1]].shape == values[node.input[0]].shape[:1]


def test_percentile_does_not_waste_the_negative_half_after_a_relu(context, exported):
    def scales(method: str) -> list[float]:
        technique = StaticQuantization(activation_type="uint8", method=method, samples=32)
        graph = onnx.load(technique.apply(exported("residual"), context())).graph
        values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        return [float(values[node.input[1]]) for node in graph.node if node.op_type == "QuantizeLinear"]

    assert scales("percentile") == pytest.approx(scales("minmax"), rel=0.05)


def test_a_node_kept_in_float_stays_and_the_others_do_not(context, exported):
    source = exported("residual")
    name = next(node.name for node in onnx.load(source).graph.node if node.op_type == "Conv")

    path = StaticQuantization(activation_type="uint8", samples=32, keep_float=(name,)).apply(source, context())

    produced = {output: node.op_type for node in onnx.load(path).graph.node for output in node.output}
    inputs = {node.name: produced.get(node.input[1]) for node in onnx.load(path).graph.node if node.op_type == "Conv"}
    assert inputs.pop(name) is None
    assert set(inputs.values()) == {"DequantizeLinear"}


def test_an_unknown_node_to_keep_is_refused_with_the_nearest_name(context, exported):
    with pytest.raises(TechniqueError, match=r"no node 'node_conv2'. Did you mean 'node_conv2d"):
        StaticQuantization(samples=32, keep_float=("node_conv2",)).apply(exported("residual"), context())


def test_dead_channels_and_dead_layers_are_quantized_like_any_other(build, context, export, run):
    model = build("residual")
    model[0].weight.data[3] = 0
    model[1].first.weight.data.zero_()
    model[1].first_norm.bias.data.fill_(-1)
    source, ctx = export(model), context()

    for method in ("minmax", "entropy", "percentile"):
        path = StaticQuantization(activation_type="uint8", method=method, samples=32).apply(source, ctx)
        expected = run(source, ctx.images.numpy())
        assert np.abs(run(path, ctx.images.numpy()) - expected).max() < 0.1 * np.abs(expected).max()


def test_more_samples_than_there_are_examples_is_refused(context, exported):
    with pytest.raises(DataError, match=r"1000 calibration inputs .* there are 96"):
        StaticQuantization(samples=1000).apply(exported("mlp"), context())


@pytest.mark.parametrize(("value", "sentence"), [(0.5, "hold the one number 0.5"), (np.nan, "NaN or infinity")])
def test_calibration_inputs_that_give_no_range_are_refused(value, sentence, context, exported):
    ctx = context()
    ctx.images.fill_(value)

    with pytest.raises(DataError, match=sentence):
        UINT8.apply(exported("mlp"), ctx)


def test_a_file_without_anything_to_quantize_is_an_error(context, export):
    from torch import nn

    with pytest.raises(TechniqueError, match="nothing was quantized"):
        UINT8.apply(export(nn.Sequential(nn.Flatten(), nn.Softplus())), context())


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_the_same_file_and_seed_give_the_same_bytes(method, context, exported):
    source, technique = exported("residual"), StaticQuantization(method=method, samples=32)

    assert technique.apply(source, context()).read_bytes() == technique.apply(source, context()).read_bytes()


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_nothing_else_is_written_said_or_set_up(method, context, exported, capfd):
    source = exported("residual")
    handlers = list(logging.getLogger().handlers)
    capfd.readouterr()

    result = StaticQuantization(method=method, samples=32).apply(source, context())

    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert not onnx.load(result).metadata_props
    assert sorted(path.name for path in result.parent.iterdir()) == ["float.onnx", "model.onnx"]


def test_a_pruned_network_is_quantized_whole(build, context, export, kernels):
    from kdbench.techniques.structured_pruning import StructuredPruning

    pruned = StructuredPruning(channel_fraction=0.5).apply(build("residual"), context())

    types = kernels(UINT8.apply(export(pruned), context()))

    if X86:
        assert types.count("QLinearConv") == 6
