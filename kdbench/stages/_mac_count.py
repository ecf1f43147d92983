"""Multiply-accumulates of an ONNX graph, counted from the shapes that its tensors have when it runs."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec

MAC_RULE = "multiply-accumulates of convolutions, matrix products and recurrent layers in the exported graph, batch 1"
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
COUNTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", *GATES})

Shapes = Mapping[str, tuple[int, ...]]


def mac_count(path: Path, inputs: Mapping[str, np.ndarray], scratch: Path) -> int:
    """Multiply-accumulates of one example, `inputs` (1, ...) by name.

    A fused operator of a training framework hides its products from a counter there; here each is a node. The graph is
    run once with the tensors around those nodes as further outputs, in a file at `scratch` that is removed again.
    """
    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type in COUNTED]
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    known |= {name: array.shape for name, array in inputs.items()}
    wanted = list(dict.fromkeys(name for node in nodes for name in (*node.input, *node.output) if name))
    wanted = [name for name in wanted if name not in known]
    kept = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in kept)
    try:
        onnx.save(model, scratch)
        session = OnnxruntimeSession(str(scratch), SessionSpec())
        names = [output.name for output in model.graph.output]
        found = dict(zip(names, session.run(dict(inputs)), strict=True))
    finally:
        scratch.unlink(missing_ok=True)
    shapes = {**known, **{name: array.shape for name, array in found.items()}}
    return sum(_of_node(node, shapes) for node in nodes)


def _of_node(node: onnx.NodeProto, shapes: Shapes) -> int:
    first, second = shapes[node.input[0]], shapes[node.input[1]] if len(node.input) > 1 else ()
    result = next((shapes[name] for name in node.output if name), ())
    if node.op_type == "Conv":  # weights: (out, in / groups, kernel ...)
        return math.prod(result) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":  # weights: (in, out / groups, kernel ...)
        return math.prod(first) * math.prod(second[1:])
    if node.op_type == "MatMul":
        return math.prod(result) * first[-1]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return math.prod(result) * first[0 if transposed else 1]
    if node.op_type == "Einsum":
        return _of_einsum(node, shapes)
    # weights: (directions, gates * hidden, inputs), over (steps, examples, inputs)
    hidden = second[1] // GATES[node.op_type]
    return math.prod(first[:2]) * second[0] * second[1] * (second[2] + hidden)


def _of_einsum(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Every combination of its indices is one product; nothing where it only sums or moves one tensor."""
    equation = next(attribute.s.decode() for attribute in node.attribute if attribute.name == "equation")
    if len(node.input) < 2:
        return 0
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        before, dots, after = term.partition("...")
        shape = shapes[name]
        sizes |= dict(zip(before, shape, strict=False))
        sizes |= dict(zip(reversed(after), reversed(shape), strict=False))
        if dots:
            for place, size in enumerate(reversed(shape[len(before) : len(shape) - len(after)])):
                sizes[f"...{place}"] = max(size, sizes.get(f"...{place}", 1))
    return math.prod(sizes.values())
