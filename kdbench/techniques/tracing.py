"""A network as a graph of its layers, with the shapes between them. Knows no technique."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.errors import TechniqueError


class _Tracer(fx.Tracer):
    """Sees a BatchNorm as one layer, torch's own or a network's kind of it, and knows how many inputs there are."""

    def __init__(self, input_count: int) -> None:
        super().__init__()
        self.input_count = input_count

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """As torch's, but of a forward(*inputs) each input by itself."""
        call, given = super().create_args_for_root(root_fn, is_module, concrete_args)
        last = given[-1]
        if isinstance(last, fx.Proxy) and str(last.node.target).startswith("*"):
            self.graph.erase_node(last.node)
            named = given[:-1]
            rest = range(len(named) - 1, self.input_count)  # the first of the named is the network itself
            inputs = (self.create_proxy("placeholder", f"input_{place}", (), {}) for place in rest)
            return root_fn, [*named, *inputs]
        return call, given

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or super().is_leaf_module(m, module_qualified_name)


def traced(network: nn.Module, example: tuple[Tensor, ...]) -> fx.GraphModule:
    """The network as a graph of its layers, with what each node gives for `example`. Raises TechniqueError."""
    try:
        graph = fx.GraphModule(network, _Tracer(len(example)).trace(network))
    except (fx.proxy.TraceError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise TechniqueError(f"the network's forward cannot be traced to a graph: {line}") from error
    used = {tensor.data_ptr() for tensor in graph.state_dict().values()}
    unused = [name for name, tensor in network.state_dict().items() if tensor.data_ptr() not in used]
    if unused:
        raise TechniqueError(f"the network's forward does not use {', '.join(sorted(unused)[:3])}; remove such layers.")
    with torch.no_grad():
        ShapeProp(graph).propagate(*example)
    return graph


def kind(node: fx.Node, graph: fx.GraphModule) -> Any:
    """The target of a node's call: a module's class, a function, or a method's name; None where it calls nothing."""
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target)))
    return node.target if node.op in ("call_function", "call_method") else None
