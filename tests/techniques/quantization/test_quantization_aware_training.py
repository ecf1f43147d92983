"""Quantization-aware training: what trains is what the file computes, the file is int8, and it survives being kept."""

import platform

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from kdbench.errors import ExportError, TechniqueError
from kdbench.measure.execution_proof import int8_kernel_fraction
from kdbench.protocols import Destination
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.stages import torch_models
from kdbench.stages.export import counts, parity, to_onnx, write_file
from kdbench.techniques.quantization import _fake_quantized, _integer
from kdbench.techniques.quantization._fake_quantized import ActivationRange, rounded
from kdbench.techniques.quantization.quantization_aware_training import QuantizationAwareTraining

X86 = platform.machine() in ("x86_64", "AMD64")
UINT8 = QuantizationAwareTraining(activation_type="uint8", samples=64)


def trained(build, ctx, name):
    return UINT8.apply(ctx.fit(build(name)), ctx)


def exported(network, ctx):
    path = ctx.out / "int8.onnx"
    write_file(network, [UINT8], ctx.example, ctx.task, path, 20)
    return path


def answers(network, images) -> np.ndarray:
    with torch.inference_mode():
        return network(images).numpy()


@pytest.mark.parametrize("name", ["plain", "depthwise", pytest.param("grouped", marks=pytest.mark.slow), "mlp"])
def test_the_file_answers_as_the_network_that_trained_and_runs_in_int8(name, build, context, run, kernels):
    file_answers_as_its_network(context(), name, build, run, kernels)


def file_answers_as_its_network(ctx, name, build, run, kernels):
    """The file."""
    network = trained(build, ctx, name)

    path = exported(network, ctx)

    expected, got = answers(network, ctx.images), run(path, ctx.images.numpy())
    assert ctx.roles == ["train", "finetune"]
    assert (expected.argmax(1) == got.argmax(1)).mean() > 0.97
    assert np.abs(expected - got).max() < 0.02 * np.abs(expected).max()
    if X86:
        assert int8_kernel_fraction(kernels(path)) == 1.0
        assert "Relu" not in kernels(path)
    return path


def test_residual_sums_run_in_int8_too_every_weight_is_an_integer_and_batchnorm_is_gone(build, context, run, kernels):
    path = file_answers_as_its_network(context(), "residual", build, run, kernels)

    if X86:
        types = kernels(path)
        assert (types.count("QLinearConv"), types.count("QLinearAdd"), types.count("QGemm")) == (6, 2, 1)
    graph = onnx.load(path).graph
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}
    assert len(weights) == 7
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_training_lowers_the_loss_of_the_rounded_network(build, context):
    ctx = context(epochs=8)

    UINT8.apply(build("plain"), ctx)

    first, *_, last = ctx.history.terms_by_epoch
    assert last["ce"] < 0.7 * first["ce"]


def test_training_in_8_bits_wins_back_what_rounding_costs(build, context):
    """A layer's weights are made so unequal that its other inputs fall between two levels."""
    ctx = context(epochs=10)
    model = ctx.fit(build("plain"))
    network = _fake_quantized.fake_quantized(model, ctx.example)
    with torch.no_grad():
        model[3].weight[:, 0] *= 40
    _fake_quantized.watch(network, [(ctx.images,)])
    before = (answers(network, ctx.images).argmax(1) == ctx.targets.numpy()).mean()

    network = ctx.fit(network, recipe="finetune")

    assert (answers(network, ctx.images).argmax(1) == ctx.targets.numpy()).mean() > before


def test_a_kept_network_is_rebuilt_from_its_tensors(build, context, tmp_path, monkeypatch):
    ctx = context()
    network = trained(build, ctx, "residual")
    part = PartSpec("model", "mlp", 1, {})
    monkeypatch.setattr("kdbench.models.mlp.MLP.build", lambda self, task: build("residual", seed=5))

    torch_models.save(network, part, tmp_path, [spec_of("technique", "quantization_aware_training", UINT8)])
    again = torch_models.load(tmp_path, ctx.task, torch.device("cpu"))

    assert np.array_equal(answers(again, ctx.images), answers(network, ctx.images))
    assert exported(again, ctx).read_bytes() == exported(network, ctx).read_bytes()


def test_a_pruned_network_is_trained_kept_and_rebuilt(build, context, tmp_path, monkeypatch, kernels):
    from kdbench.techniques.pruning.structured_pruning import StructuredPruning

    ctx = context()
    pruning = StructuredPruning(channel_fraction=0.5)
    network = UINT8.apply(pruning.apply(build("residual"), ctx), ctx)
    steps = [
        spec_of("technique", "structured_pruning", pruning),
        spec_of("technique", "quantization_aware_training", UINT8),
    ]
    monkeypatch.setattr("kdbench.models.mlp.MLP.build", lambda self, task: build("residual"))

    torch_models.save(network, PartSpec("model", "mlp", 1, {}), tmp_path, steps)
    again = torch_models.load(tmp_path, ctx.task, torch.device("cpu"))

    assert np.array_equal(answers(again, ctx.images), answers(network, ctx.images))
    if X86:
        assert kernels(exported(again, ctx)).count("QLinearConv") == 6


def test_it_counts_as_the_network_it_came_from(build, context):
    ctx = context()
    model = build("plain")
    float_file = ctx.out / "float.onnx"
    to_onnx(model.eval(), ctx.example, ctx.task, float_file, 20)
    before, names = counts(model, float_file, ctx.task, ctx.example), set(model.state_dict())

    network = UINT8.apply(model, ctx)

    after = counts(network, exported(network, ctx), ctx.task, ctx.example)
    assert {name: after[name] for name in ("parameter_count", "mac_count")} == {
        name: before[name] for name in ("parameter_count", "mac_count")
    }
    assert {name for name in network.state_dict() if not name.startswith(_fake_quantized.RANGES)} == names


@pytest.mark.parametrize(("symmetric", "zeros"), [(True, {0}), (False, {-128})])
def test_int8_activations_for_tensorrt_and_for_arm(symmetric, zeros, build, context, run):
    ctx = context()
    technique = QuantizationAwareTraining(activation_type="int8", symmetric=symmetric, samples=64)
    network = technique.apply(build("plain"), ctx)

    path = exported(network, ctx)

    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = {values[node.input[2]].item() for node in graph.node if node.op_type == "QuantizeLinear"}
    kinds = {values[node.input[2]].dtype for node in graph.node if node.op_type == "QuantizeLinear"}
    assert stored == zeros  # all of this network's activations are images or come from a ReLU
    assert kinds == {np.dtype(np.int8)}
    got, expected = run(path, ctx.images.numpy()), answers(network, ctx.images)
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.999


def test_auto_becomes_what_the_target_is_fast_with():
    def settled(provider: str, machine: str) -> tuple[str, object]:
        technique = QuantizationAwareTraining().settle(Destination(provider=provider, machine=machine))
        return technique.activation_type, technique.symmetric

    assert settled("cpu", "x86_64") == ("uint8", False)
    assert settled("cpu", "aarch64") == ("int8", False)
    assert settled("tensorrt", "x86_64") == ("int8", True)


def test_values_that_lie_on_the_levels_are_kept_exactly():
    activation = ActivationRange().eval()
    activation.low.fill_(-0.5)
    activation.high.fill_(2.05)
    scale, zero = activation.grid()
    levels = (torch.arange(256) - zero) * scale
    weight = torch.randint(-127, 128, (4, 8, 3, 3), generator=torch.Generator().manual_seed(0)) / 64
    weight[:, 0, 0, 0] = 127 / 64

    assert torch.equal(activation(levels), levels)
    assert 0.0 in activation(levels)
    assert torch.equal(rounded(weight), weight)


def test_a_range_follows_training_batches_and_nothing_else():
    activation = ActivationRange()
    activation.high.fill_(1.0)

    activation.eval()(torch.full((4,), 9.0))
    assert float(activation.high) == 1.0

    activation.train()(torch.full((4,), 9.0))
    assert float(activation.high) == pytest.approx(1.0 + 0.01 * 8)
    assert float(activation.low) == 0.0


def test_the_gradient_passes_rounding_and_stops_at_the_ends():
    activation = ActivationRange().eval()
    activation.high.fill_(1.0)
    x = torch.tensor([-1.0, 0.3, 0.7, 2.0], requires_grad=True)

    activation(x).sum().backward()

    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_channel_that_batchnorm_silences_or_turns_around_is_folded_right(build, context, run):
    ctx = context()
    model = build("residual")
    with torch.no_grad():
        model[1].first_norm.weight[:4] = torch.tensor([0.0, -1.0, 1e-9, -0.3])
        model[1].first_norm.bias[:4] = torch.tensor([0.5, 1.0, 0.7, -0.2])
        model[1].first.weight[5] = 0
    network = _fake_quantized.fake_quantized(model, ctx.example)
    _fake_quantized.watch(network, [(ctx.images,)])

    got, expected = run(exported(network, ctx), ctx.images.numpy()), answers(network, ctx.images)

    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_with_a_teacher_the_loss_is_the_distillations(build, context):
    ctx = context(teacher=build("residual", seed=9))

    QuantizationAwareTraining(activation_type="uint8", samples=64, distil="soft_distillation").apply(
        build("plain"), ctx
    )

    assert ctx.teacher_calls > 0
    assert "ce" not in ctx.history.terms_by_epoch[0]


def test_the_same_seed_gives_the_same_network_and_another_another(build, context):
    def weights(seed: int) -> bytes:
        network = UINT8.apply(build("plain"), context(seed=seed))
        return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


def test_what_cannot_be_quantized_is_a_problem_said_in_a_sentence(build, context):
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            return self.layer(x.flatten(1)) if x.sum() > 0 else x.flatten(1)[:, :10]

    ctx = context()
    assert "cannot be traced" in UINT8.problem(Branching(), ctx)
    assert "no convolution and no linear layer" in UINT8.problem(nn.Sequential(nn.Flatten(), nn.Softmax(1)), ctx)
    assert "quantized already" in UINT8.problem(UINT8.apply(build("mlp"), ctx), ctx)
    assert UINT8.problem(build("residual"), ctx) is None
    with pytest.raises(TechniqueError, match="nothing was quantized"):
        UINT8.apply(nn.Sequential(nn.Flatten(), nn.Softmax(1)), ctx)


def test_a_file_that_is_still_float_is_an_error(build, context, onnx_files):
    ctx = context()
    network = trained(build, ctx, "residual")

    with pytest.raises(ExportError, match="0 of 7 layers have integer weights"):
        _integer.check_file(onnx_files("residual"), network)


def test_a_file_that_answers_otherwise_is_an_error(build, context):
    ctx = context()
    one, other = trained(build, ctx, "plain"), UINT8.apply(build("plain", seed=7), ctx)

    with pytest.raises(ExportError, match="agree on"):
        parity(one, exported(other, ctx), ctx.task, (-ctx.images,), rounded=True)


def test_a_quantized_file_is_not_quantized_again(build, context):
    from kdbench.techniques.quantization.static_quantization import StaticQuantization

    ctx = context()
    path = exported(trained(build, ctx, "mlp"), ctx)

    assert "quantized already" in StaticQuantization(samples=32).problem(path, ctx)


def test_layers_inside_a_module_that_is_one_node_of_the_graph_stay_float(context):
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Flatten(1, 2), encoder, nn.Flatten(), nn.Linear(64, 10))

    network = _fake_quantized.fake_quantized(model, context().example)

    assert type(encoder.linear1) is nn.Linear
    assert [type(m).__name__ for m in network.modules() if isinstance(m, _fake_quantized.LAYERS)] == ["FullyConnected"]


def test_a_block_cannot_be_tapped_while_training_in_8_bits_and_a_layer_can(build, context):
    def distilled(layer: str):
        fitnet = {"fitnet": {"student_layer": layer, "teacher_layer": "1.second_norm"}}
        technique = QuantizationAwareTraining(activation_type="uint8", samples=64, distil=fitnet)
        return technique.apply(build("residual"), context(teacher=build("residual", seed=9)))

    assert isinstance(distilled("1.second_norm"), nn.Module)
    with pytest.raises(TechniqueError, match="layer '1' does not work in a pass; tap another one"):
        distilled("1")
