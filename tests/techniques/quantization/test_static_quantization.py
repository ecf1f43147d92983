"""Static quantization: what the runtime really runs in int8, what each target gets, and what is refused."""

import logging
import platform

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from kdbench.errors import DataError, TechniqueError
from kdbench.protocols import Destination
from kdbench.stages.export import to_onnx
from kdbench.techniques.quantization.static_quantization import StaticQuantization

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

    assert settled == StaticQuantization(activation_type=expected, symmetric=provider == "tensorrt")


def test_a_written_type_is_not_changed_by_the_target():
    assert UINT8.settle(Destination(provider="tensorrt", machine="aarch64")).activation_type == "uint8"


@pytest.mark.parametrize(("name", "data_type"), [("uint8", onnx.TensorProto.UINT8), ("int8", onnx.TensorProto.INT8)])
def test_the_file_holds_the_activation_type_that_was_asked_for(name, data_type, context, exported):
    technique = StaticQuantization(activation_type=name, samples=32)

    assert zero_points(technique.apply(exported("residual"), context())) == {data_type}


def zeros(path) -> set[int]:
    """The zero points of quantized activations."""
    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {int(values[node.input[2]]) for node in graph.node if node.op_type == "QuantizeLinear"}


def test_for_tensorrt_activations_have_their_zero_in_the_middle(context, exported):
    technique = StaticQuantization(samples=32).settle(Destination(provider="tensorrt", machine="x86_64"))

    assert zeros(technique.apply(exported("residual"), context())) == {0}


def test_on_arm_what_a_relu_gave_uses_all_levels_and_no_relu_is_left(context, exported):
    technique = StaticQuantization(samples=32).settle(Destination(provider="cpu", machine="aarch64"))

    path = technique.apply(exported("residual"), context())

    assert -128 in zeros(path)
    assert "Relu" not in [node.op_type for node in onnx.load(path).graph.node]


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

    path = StaticQuantization(activation_type="uint8", samples=32, exclude=(name,)).apply(source, context())

    produced = {output: node.op_type for node in onnx.load(path).graph.node for output in node.output}
    inputs = {node.name: produced.get(node.input[1]) for node in onnx.load(path).graph.node if node.op_type == "Conv"}
    assert inputs.pop(name) is None
    assert set(inputs.values()) == {"DequantizeLinear"}


def test_an_unknown_node_to_keep_is_refused_with_the_nearest_name(context, exported):
    with pytest.raises(TechniqueError, match=r"no layer and no node 'node_conv2'. Did you mean 'node_conv2d"):
        StaticQuantization(samples=32, exclude=("node_conv2",)).apply(exported("residual"), context())
    with pytest.raises(TechniqueError, match=r"no layer and no node '1.fist'. Did you mean '1.first'"):
        StaticQuantization(samples=32, exclude=("1.fist",)).apply(exported("residual"), context())


def float_weights(path) -> set[str]:
    graph = onnx.load(path).graph
    return {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1}


def test_a_layer_or_a_block_is_excluded_by_its_name_in_the_network(context, exported):
    def kept(*names: str) -> set[str]:
        technique = StaticQuantization(activation_type="uint8", samples=32, exclude=names)
        return float_weights(technique.apply(exported("residual"), context()))

    assert kept("1.first") == {"1.first.weight"}
    assert kept("2", "5") == {"2.first.weight", "2.second.weight", "2.shortcut.weight", "5.weight"}


def outlier(build):
    """A residual net in which one layer cannot be rounded well: a channel's weights are of two magnitudes."""
    model = build("residual")
    model[1].second.weight.data[:, 0] *= 300
    return model


def test_the_most_sensitive_layer_is_found_kept_in_float_and_named(build, context, export, run):
    source, ctx = export(outlier(build)), context()

    path = StaticQuantization(activation_type="uint8", samples=32, sensitive=1).apply(source, ctx)

    images = ctx.images.numpy()
    expected = run(source, images)
    error = np.abs(run(path, images) - expected).max()
    kept = float_weights(path)
    (note,) = ctx.notes
    assert kept == {"1.second.weight"}
    assert "most sensitive" in note
    for other in ("1.first", "2.first", "2.second"):
        alternative = StaticQuantization(activation_type="uint8", samples=32, exclude=(other,)).apply(source, ctx)
        assert error < np.abs(run(alternative, images) - expected).max()


def test_a_search_that_would_leave_nothing_is_refused(context, exported):
    with pytest.raises(TechniqueError, match="sensitive 3 leaves nothing to quantize: the file has 3 layers"):
        StaticQuantization(samples=32, sensitive=3).apply(exported("mlp"), context())


def test_excluding_every_layer_is_an_error_even_if_a_sum_would_be_quantized(context, exported):
    with pytest.raises(TechniqueError, match="nothing was quantized"):
        StaticQuantization(samples=32, exclude=("0", "1", "2", "5")).apply(exported("residual"), context())


def test_a_file_is_not_quantized_twice(context, exported):
    ctx = context()
    once = UINT8.apply(exported("residual"), ctx)

    assert "quantized already" in UINT8.problem(once, ctx)
    assert UINT8.problem(exported("residual"), ctx) is None


def test_a_lower_percentile_makes_ranges_narrower(context, exported):
    def largest_scale(percentile: float) -> float:
        technique = StaticQuantization(activation_type="uint8", method="percentile", percentile=percentile, samples=32)
        graph = onnx.load(technique.apply(exported("residual"), context())).graph
        values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        return max(float(values[n.input[1]]) for n in graph.node if n.op_type == "QuantizeLinear")

    assert largest_scale(90.0) < 0.8 * largest_scale(99.999)


def test_a_percentile_without_its_method_is_refused():
    with pytest.raises(ValueError, match="percentile belongs to method percentile, not minmax"):
        StaticQuantization(percentile=99.9)


def test_one_scale_a_tensor_where_that_is_asked_for(context, exported):
    technique = StaticQuantization(activation_type="uint8", per_channel=False, samples=32)

    graph = onnx.load(technique.apply(exported("residual"), context())).graph

    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    scales = [
        values[n.input[1]]
        for n in graph.node
        if n.op_type == "DequantizeLinear" and values.get(n.input[0], np.zeros(0)).ndim == 4
    ]
    assert len(scales) == 6
    assert {scale.size for scale in scales} == {1}


def images_of(ctx) -> np.ndarray:
    return ctx.images.flatten(1).numpy()


def test_weights_and_inputs_that_lie_on_the_levels_are_kept_exactly(context, export, run):
    layer = nn.Linear(64, 10, bias=False)
    levels = torch.randint(-127, 128, layer.weight.shape, generator=torch.Generator().manual_seed(0))
    levels[:, 0] = 127
    layer.weight.data = levels / 128
    source, ctx = export(nn.Sequential(nn.Flatten(), layer)), context()
    ctx.images = torch.randint(0, 256, ctx.images.shape, generator=torch.Generator().manual_seed(1)) / 256
    ctx.images[0, 0, 0, :2] = torch.tensor([0.0, 255 / 256])

    path = StaticQuantization(activation_type="uint8", samples=96).apply(source, ctx)

    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (weight,) = (value for value in values.values() if value.dtype == np.int8 and value.ndim == 2)
    assert np.array_equal(np.sort(weight.ravel()), np.sort(levels.numpy().ravel()))
    first = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    assert float(values[first.input[1]]) == pytest.approx(1 / 256)
    product = images_of(ctx) @ layer.weight.detach().numpy().T
    step = (product.max() - product.min()) / 255
    assert np.abs(run(path, ctx.images.numpy()) - product).max() < 0.51 * step + 1e-4


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
    from kdbench.techniques.pruning.structured_pruning import StructuredPruning

    pruned = StructuredPruning(channel_fraction=0.5).apply(build("residual"), context())

    types = kernels(UINT8.apply(export(pruned), context()))

    if X86:
        assert types.count("QLinearConv") == 6


class Tokens(nn.Module):
    """A linear layer over tokens: its weight is transposed in the file, under a name of the exporter's own."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16))
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(self.block(x[:, 0]).mean(1))


def test_a_linear_layer_over_tokens_is_left_in_float_by_its_path(context, tmp_path):
    ctx = context()
    path = tmp_path / "tokens.onnx"
    to_onnx(Tokens().eval(), ctx.example, ctx.task, path, 20)

    result = StaticQuantization(exclude=("block.0",), samples=32).apply(path, ctx)

    weights = {tensor.name: tensor.data_type for tensor in onnx.load(result).graph.initializer if len(tensor.dims) == 2}
    assert weights["block.0.weight"] == onnx.TensorProto.FLOAT
    assert sorted(weights.values()).count(onnx.TensorProto.INT8) == 2
