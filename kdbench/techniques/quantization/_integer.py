"""A fake-quantized network in the form that exports to an 8-bit file. Knows no technique."""

import copy
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, fx, nn
from torch.onnx import ops

from kdbench.errors import ExportError
from kdbench.techniques.quantization import _fake_quantized as fake
from kdbench.techniques.tracing import kind

OPSET = 20
LARGEST_INT32 = 2**31 - 1


class QuantizeDequantize(nn.Module):
    """An activation range as the pair QuantizeLinear, DequantizeLinear. Gives numbers in the exported file only."""

    def __init__(self, activation: fake.ActivationRange) -> None:
        super().__init__()
        scale, zero = activation.grid()
        stored = (zero - 128).to(torch.int8) if activation.signed else zero.to(torch.uint8)
        self.scale: Tensor
        self.zero: Tensor
        self.register_buffer("scale", scale)
        self.register_buffer("zero", stored)

    def forward(self, x: Tensor) -> Tensor:
        small = ops.symbolic(
            "QuantizeLinear", (x, self.scale, self.zero), dtype=self.zero.dtype, shape=x.shape, version=OPSET
        )
        return _dequantized(small, self.scale, self.zero, {})


class IntegerLayer(nn.Module):
    """A convolution or linear layer, its BatchNorm folded in, with int8 weights and an int32 bias.

    weight = q * scale, one scale a channel; bias = b * (input_scale * scale), as 8-bit kernels add it up. A scale is
    at least what lets the bias fit 32 bits.
    """

    def __init__(self, layer: Any, norm: Any, input_scale: Tensor) -> None:
        super().__init__()
        self.layer = layer
        factor, bias = _folded(layer, norm)
        weight = fake.rounded(layer.weight) * factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
        fits = bias.abs() / (input_scale * LARGEST_INT32 * (1 - 1e-6))
        scale = torch.maximum(fake.weight_scale(layer.weight) * factor.abs(), fits).clamp_min(1e-30)
        levels = torch.round(weight / scale.reshape(factor.shape + (1,) * (weight.dim() - 1)))
        zero = torch.zeros_like(scale)
        tensors = {
            "weight": levels.clamp(-127, 127).to(torch.int8),
            "weight_scale": scale,
            "weight_zero": zero.to(torch.int8),
            "bias": torch.round(bias.double() / (input_scale.double() * scale.double())).to(torch.int32),
            "bias_scale": input_scale * scale,
            "bias_zero": zero.to(torch.int32),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer.weighted(x, self._wide("weight"), self._wide("bias"))
        return result

    def _wide(self, name: str) -> Tensor:
        small, scale, zero = (getattr(self, f"{name}{part}") for part in ("", "_scale", "_zero"))
        return _dequantized(small, scale, zero, {"axis": 0})


def _dequantized(small: Tensor, scale: Tensor, zero: Tensor, attributes: dict[str, Any]) -> Tensor:
    return ops.symbolic(
        "DequantizeLinear", (small, scale, zero), attributes, dtype=torch.float32, shape=small.shape, version=OPSET
    )


def _folded(layer: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """The factor by which BatchNorm in eval mode scales each channel of the layer, and the bias of both together."""
    count = layer.weight.shape[0]
    bias = layer.bias if layer.bias is not None else torch.zeros(count)
    if norm is None:
        return torch.ones(count), bias.detach()
    gamma = norm.weight if norm.weight is not None else torch.ones(count)
    beta = norm.bias if norm.bias is not None else torch.zeros(count)
    factor = gamma / torch.sqrt(norm.running_var + norm.eps)
    return factor.detach(), ((bias - norm.running_mean) * factor + beta).detach()


@torch.no_grad()
def integer_form(network: fx.GraphModule) -> fx.GraphModule:
    """The network (in eval mode, on the CPU) with its weights as integers, for the exporter; the given one stays."""
    result = copy.deepcopy(network).eval()
    nodes = list(result.graph.nodes)
    for node in nodes:
        for one in fake.integer_inputs(node, result):
            _round_again(one, node, result)
    for node in nodes:
        if kind(node, result) in fake.LAYERS:
            _to_integers(node, result)
    for name, activation in result.get_submodule(fake.RANGES).named_children():
        assert isinstance(activation, fake.ActivationRange)
        result.set_submodule(f"{fake.RANGES}.{name}", QuantizeDequantize(activation))
    result.graph.lint()
    result.recompile()
    return result


def _round_again(given: fx.Node, user: fx.Node, graph: fx.GraphModule) -> None:
    """A pair right before its user, where values were moved since they were rounded: runtimes fuse neighbours only."""
    made = fake.source(given, graph)
    if made is not given:
        with graph.graph.inserting_after(given):
            again = graph.graph.call_module(str(made.target), (given,))
        again.meta = dict(given.meta)
        user.replace_input_with(given, again)


def _to_integers(node: fx.Node, graph: fx.GraphModule) -> None:
    norm = fake.norm_after(node, graph)
    activation = graph.get_submodule(str(node.all_input_nodes[0].target))
    assert isinstance(activation, fake.ActivationRange)
    layer = graph.get_submodule(str(node.target))
    folded = None if norm is None else graph.get_submodule(str(norm.target))
    name = f"integer_{node.name}"
    graph.add_submodule(name, IntegerLayer(layer, folded, activation.grid()[0]))
    node.target = name
    if norm is not None:
        norm.replace_all_uses_with(node)
        graph.graph.erase_node(norm)


def check_file(path: Path, network: nn.Module) -> None:
    """Raises ExportError where the file does not hold every layer's weights as integers."""
    graph = onnx.load(path).graph
    expected = sum(isinstance(module, fake.LAYERS) for module in network.modules())
    integers = {
        tensor.name
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    }
    found = sum(node.op_type == "DequantizeLinear" and node.input[0] in integers for node in graph.node)
    if found < expected:
        raise ExportError(f"{found} of {expected} layers have integer weights in the exported file; the rest is float.")
