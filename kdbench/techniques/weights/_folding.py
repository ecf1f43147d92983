"""BatchNorm's scale, moved into the layer before it as the exporter does, and kept there. Knows no technique."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.techniques.surgery import CONVOLUTIONS
from kdbench.techniques.tracing import kind, traced


def fold(model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[nn.Module]) -> list[_BatchNorm]:
    """Move the scale of every BatchNorm that alone follows one of the `layers` into that layer's weight and bias.

    Such a BatchNorm then multiplies by exactly 1 in eval mode and adds its shift; the network gives what it gave. The
    model is left in eval mode. Raises TechniqueError where the network cannot be traced.
    """
    graph = traced(model.eval(), example)
    calls = Counter(node.target for node in graph.graph.nodes if node.op == "call_module")
    norms = []
    for node in graph.graph.nodes:
        after = _norm_after(node, graph)
        if after is None or calls[node.target] > 1 or calls[after.target] > 1:
            continue
        layer, norm = graph.get_submodule(str(node.target)), graph.get_submodule(str(after.target))
        if layer in layers:
            assert isinstance(norm, _BatchNorm)
            _move(layer, norm)
            norms.append(norm)
    return norms


def _norm_after(node: fx.Node, graph: fx.GraphModule) -> fx.Node | None:
    """The BatchNorm with a scale and statistics of its own that is a layer's only user, where that is so."""
    if kind(node, graph) not in (*CONVOLUTIONS, nn.Linear) or len(node.users) != 1:
        return None
    after = next(iter(node.users))
    norm = graph.get_submodule(str(after.target)) if after.op == "call_module" else None
    return after if isinstance(norm, _BatchNorm) and norm.affine and norm.track_running_stats else None


@torch.no_grad()
def _move(layer: Any, norm: _BatchNorm) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    layer.weight.mul_(scale.view(-1, *(1 for _ in layer.weight.shape[1:])))
    if layer.bias is not None:
        layer.bias.mul_(scale)
    norm.bias.sub_(norm.running_mean * scale)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())


def _evaluate(norm: nn.Module, _: Any) -> None:
    norm.eval()


@contextmanager
def frozen(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """While the block runs these BatchNorms work as in eval mode, and their scale does not train; their shift does."""
    handles = [norm.register_forward_pre_hook(_evaluate) for norm in norms]
    trained = [norm.weight.requires_grad for norm in norms]
    for norm in norms:
        norm.weight.requires_grad_(False)
    try:
        yield
    finally:
        for norm, handle, before in zip(norms, handles, trained, strict=True):
            handle.remove()
            norm.weight.requires_grad_(before)
