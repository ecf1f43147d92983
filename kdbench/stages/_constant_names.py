"""Names for the constants of an exported file: by the layer whose weight they are. Knows the exporter's metadata."""

import ast
from collections import Counter
from collections.abc import Collection

import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter keeps the module paths that a node came from, the outermost first and the node's own name last."""
PRODUCTS = {"MatMul", "Gemm", "Conv", "ConvTranspose"}


def name_weights(model: onnx.ModelProto, named: Collection[str]) -> None:
    """Call a weight that the exporter made anew (a transposed one, say) `LAYER.weight`, as it calls the others.

    Only then can a layer be found by its path in the network once the metadata is gone. `named` are the network's own
    tensors: one of them keeps its name, also where the node that reads it is the BatchNorm's that was folded into it.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        layer = _layer(node)
        own = [name for name in node.input if name in constants]
        if not layer or not own or own[0] in named or uses[own[0]] > 1:
            continue
        if any(name.startswith(f"{layer}.") for name in own):
            continue
        name = f"{layer}.weight"
        if name not in constants:
            constants[own[0]].name = name
            node.input[list(node.input).index(own[0])] = name


def _layer(node: onnx.NodeProto) -> str:
    """The path of the innermost module that a node came from; empty where it is not known."""
    found = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    scopes = [scope for scope in ast.literal_eval(found)[:-1] if scope]
    return str(scopes[-1]) if scopes else ""
