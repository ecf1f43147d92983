"""A network that trains as its 8-bit file will compute: rounded weights and activations. Knows torch and no file."""

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as nnf
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.errors import TechniqueError
from kdbench.techniques.tracing import kind, traced
from kdbench.techniques.weighted_layers import computed_weights, weighted

RANGES = "activation_ranges"
"""Name of the module that holds the ranges; its tensors are none of the architecture's."""

FOLLOWING = 0.01
"""Weight of a training step's extremes in the moving average of a range. Jacob et al. 2018, section 3.1, wants it
close to 0 so that a range is that of thousands of steps; 0.01 is what torch's own observers use."""

SMALLEST = torch.finfo(torch.float32).eps
"""Least scale, for a tensor that is all zero and has no range."""


class ActivationRange(nn.Module):
    """Rounds a tensor to 256 levels between `low` and `high`, which follow its extremes while the network trains.

    q = clip(round(x / scale) + zero, 0, 255), and back; the gradient passes where nothing was clipped. 0 is always a
    level, so that padding is exact. symmetric: low = -high, zero = 128 (0 for who stores q - 128).
    """

    def __init__(self, signed: bool = False, symmetric: bool = False) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.signed: Tensor
        self.symmetric: Tensor
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("signed", torch.tensor(signed))
        """Whether the file stores int8 (q - 128) and not uint8: the same numbers."""
        self.register_buffer("symmetric", torch.tensor(symmetric))
        self.watching = False

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if self.watching:
            self._widen(x.detach())
            return x
        if self.training:
            self._follow(x.detach())
        return torch.fake_quantize_per_tensor_affine(x, *self.grid(), 0, 255)

    def grid(self) -> tuple[Tensor, Tensor]:
        """scale (float) and zero (int32, 0 to 255), both 0-dimensional."""
        largest = torch.maximum(-self.low, self.high)
        scale = torch.where(self.symmetric, largest / 127, (self.high - self.low) / 255).clamp_min(SMALLEST)
        zero = torch.where(self.symmetric, torch.full_like(scale, 128), torch.round(-self.low / scale))
        return scale, zero.clamp(0, 255).to(torch.int32)

    def _widen(self, x: Tensor) -> None:
        self.low.copy_(torch.minimum(self.low, x.min()))
        self.high.copy_(torch.maximum(self.high, x.max()))

    def _follow(self, x: Tensor) -> None:
        self.low.lerp_(x.min().clamp_max(0), FOLLOWING)
        self.high.lerp_(x.max().clamp_min(0), FOLLOWING)


def weight_scale(weight: Tensor) -> Tensor:
    """One scale an output channel (axis 0): its largest |w| is 127."""
    return (weight.detach().flatten(1).abs().amax(1) / 127).clamp_min(SMALLEST)


def rounded(weight: Tensor) -> Tensor:
    """A weight at its 8-bit values, -127 to 127 times the channel's scale; the gradient passes unchanged."""
    scale = weight_scale(weight)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class _Convolution(nn.modules.conv._ConvNd):
    """BatchNorm after it scales whole channels, and so does `rounded`: folding it in later changes no level."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weighted(x, rounded(self.weight), self.bias)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer with another weight and bias."""
        result: Tensor = self._conv_forward(x, weight, bias)
        return result


class Convolution1d(_Convolution, nn.Conv1d):
    """nn.Conv1d with 8-bit weights."""


class Convolution2d(_Convolution, nn.Conv2d):
    """nn.Conv2d with 8-bit weights."""


class Convolution3d(_Convolution, nn.Conv3d):
    """nn.Conv3d with 8-bit weights."""


class FullyConnected(nn.Linear):
    """nn.Linear with 8-bit weights."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weighted(x, rounded(self.weight), self.bias)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer with another weight and bias."""
        return nnf.linear(x, weight, bias)


ROUNDED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: Convolution1d,
    nn.Conv2d: Convolution2d,
    nn.Conv3d: Convolution3d,
    nn.Linear: FullyConnected,
}
LAYERS = tuple(ROUNDED.values())

SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}
SOFTMAXES = {nn.Softmax, torch.softmax, nnf.softmax, "softmax"}
JOINS = {torch.cat, torch.concat, torch.concatenate}
RELUS = {nn.ReLU, nn.ReLU6, torch.relu, torch.relu_, nnf.relu, nnf.relu_, nnf.relu6, "relu", "relu_"}
"""Activations that a runtime fuses into the convolution, product or sum before them."""
PASSIVE = {
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.ChannelShuffle),
    *(nn.Dropout, nn.Dropout2d, nn.Dropout3d, nnf.dropout, nnf.dropout2d, torch.flatten, nnf.max_pool2d),
    *(torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.chunk, torch.split),
    *("view", "reshape", "flatten", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "chunk", "split"),
    operator.getitem,
}
"""Operations that move or choose values (in eval mode) and make no new ones, so that levels stay levels."""


def source(node: fx.Node, graph: fx.GraphModule) -> fx.Node:
    """The tensor in which the values of a node were made."""
    made = node
    while kind(node, graph) in PASSIVE and isinstance(node.args[0], fx.Node):
        node = node.args[0]
        made = node if _is_float(node) else made
    return made


def integer_inputs(node: fx.Node, graph: fx.GraphModule) -> list[fx.Node]:
    """The tensors that a node takes as 8-bit integers; none where it computes in floating point."""
    found = kind(node, graph)
    if found in LAYERS:
        return [node.all_input_nodes[0]]
    if found in SUMS or found in JOINS:
        inputs = node.all_input_nodes
        tensors = [one for one in inputs if _is_float(one)]
        # behind a mask's -1e4 all scores of attention would be one level
        is_scores = any(kind(user, graph) in SOFTMAXES for user in node.users)
        if tensors == inputs and not is_scores and (len(inputs) > 1 or found in JOINS):
            return inputs
    return []


def _is_float(node: fx.Node) -> bool:
    """Whether a node gives one tensor of floating-point numbers: no tuple, no shape."""
    dtype = getattr(node.meta.get("tensor_meta"), "dtype", None)
    return dtype is not None and dtype.is_floating_point


def fake_quantized(
    network: nn.Module, example: tuple[Tensor, ...], signed: bool = False, symmetric: bool = False
) -> fx.GraphModule:
    """The network as a graph whose convolutions, linear layers, sums and joins work on rounded tensors.

    It shares the parameters and their names; its ranges, without values yet, are under RANGES. The outputs stay float.

    Raises TechniqueError where the network cannot be traced or has no such layer.
    """
    graph = traced(network.eval(), example)
    for module in _layers(graph):
        module.__class__ = ROUNDED[type(module)]  # in place: who holds the layer goes on with it
    ranges = nn.Module()
    graph.add_submodule(RANGES, ranges)
    for node in _to_round(graph):
        ranges.add_module(node.name, ActivationRange(signed, symmetric))
        with graph.graph.inserting_after(node):
            new = graph.graph.call_module(f"{RANGES}.{node.name}", (node,))
        new.meta = dict(node.meta)
        node.replace_all_uses_with(new, delete_user_cb=lambda user, new=new: user is not new)  # type: ignore[misc]
    if not list(ranges.children()):
        raise TechniqueError("nothing was quantized: the network has no convolution and no linear layer.")
    graph.recompile()
    return graph.to(example[0].device)


def _layers(graph: fx.GraphModule) -> list[nn.Module]:
    """The layers that the graph itself calls (those inside an attention module are not), once each."""
    called = {node.target: None for node in graph.graph.nodes if node.op == "call_module"}
    modules = dict.fromkeys(graph.get_submodule(str(target)) for target in called)
    return [
        module
        for module in modules
        if type(module) in ROUNDED and getattr(module, "padding_mode", "zeros") == "zeros"  # others pad with no level
    ]


def obstacle(network: nn.Module, example: tuple[Tensor, ...]) -> str | None:
    """Why `fake_quantized` cannot work on a network, as a sentence; None where it can."""
    if hasattr(network, RANGES):
        return "the network is quantized already; quantize it once."
    computed = computed_weights(weighted(network))
    if computed is not None:  # such a layer would stay as it is, without a word
        return computed
    if not any(type(module) in ROUNDED for module in network.modules()):
        return "the network has no convolution and no linear layer to quantize."
    try:
        traced(network.eval(), example)
    except TechniqueError as error:
        return str(error)
    return None


def _to_round(graph: fx.GraphModule) -> list[fx.Node]:
    """The nodes whose results are rounded: what 8-bit operations take, and what they give, after BatchNorm and ReLU."""
    chosen: dict[fx.Node, None] = {}
    for node in graph.graph.nodes:
        inputs = integer_inputs(node, graph)
        chosen |= dict.fromkeys(source(one, graph) for one in inputs)
        if inputs:
            last = end_of_chain(node, graph)
            if not _is_answer(last, graph):
                chosen[last] = None
    return list(chosen)


def end_of_chain(node: fx.Node, graph: fx.GraphModule) -> fx.Node:
    """The last of an operation and the BatchNorm and ReLU that are fused into it."""
    norm = norm_after(node, graph)
    last = node if norm is None else norm
    if len(last.users) == 1 and kind(follower := next(iter(last.users)), graph) in RELUS:
        return follower
    return last


def norm_after(node: fx.Node, graph: fx.GraphModule) -> fx.Node | None:
    """The BatchNorm that is a layer's only user, where that is so."""
    if kind(node, graph) not in LAYERS or len(node.users) != 1:
        return None
    follower = next(iter(node.users))
    found = kind(follower, graph)
    return follower if isinstance(found, type) and issubclass(found, _BatchNorm) else None


def _is_answer(node: fx.Node, graph: fx.GraphModule) -> bool:
    """Whether a result is the network's output, and nothing else takes it."""
    return all(user.op == "output" or (kind(user, graph) in PASSIVE and _is_answer(user, graph)) for user in node.users)


def watch(network: fx.GraphModule, batches: Iterable[Sequence[Tensor]]) -> None:
    """Set every range to the extremes that its tensor takes over some batches, in eval mode and nothing rounded."""
    ranges = [module for module in network.eval().modules() if isinstance(module, ActivationRange)]
    for each in ranges:
        each.watching = True
    with torch.no_grad():
        for inputs in batches:
            network(*inputs)
    for each in ranges:
        each.watching = False


def with_plain_activations(network: nn.Module) -> nn.Module:
    """A copy in which no activation is rounded; the weights are."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, ActivationRange):
            module.watching = True
    return copied


@torch.no_grad()
def with_rounded_weights(network: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    """A copy that holds at 8 bits the weights of the layers that `fake_quantized` rounds: what that is checked by."""
    copied = copy.deepcopy(network)
    for module in _layers(traced(copied.eval(), example)):
        weight: Any = module.weight
        weight.copy_(rounded(weight))
    return copied
