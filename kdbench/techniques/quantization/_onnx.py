"""Preparing ONNX files for onnxruntime's quantizers and cleaning up after them. Knows onnx, not torch."""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from kdbench.errors import TechniqueError, nearest

LINEAR = frozenset({"MatMul", "Gemm"})
LAYERS = LINEAR | {"Conv", "ConvTranspose"}
ROUGH = 1.0
"""A step between two scores of attention above which most differences between them are lost: a step changes a weight
by the factor e. Scores of trained attention lie within some 20 of each other, which is a step of 0.08."""
QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"})


def load_for_quantizer(path: Path) -> onnx.ModelProto:
    """The graph of a file without stored shapes, marked as ready.

    The exporter stores shapes of weights too, and the quantizer, which transposes weights, trips over those; it
    infers the shapes it needs by itself. The mark keeps it from advising, on the root logger, a preparation
    (constant folding, BatchNorm folding, shapes) that torch's exporter has done.
    """
    model = onnx.load(path)
    del model.graph.value_info[:]
    add_pre_process_metadata(model)
    return model


def strip(path: Path) -> Counter[str]:
    """Take the quantizer's notes out of the file that it wrote; how many nodes of each type are in it."""
    model = onnx.load(path)
    del model.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)
    return Counter(node.op_type for node in model.graph.node)


def layers(model: onnx.ModelProto, kinds: frozenset[str] = LAYERS) -> list[onnx.NodeProto]:
    """The convolutions and matrix products (or those of some kinds) whose weights are constants of the file."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node for node in model.graph.node if node.op_type in kinds and node.input[1] in constants]


def integer_weights(model: onnx.ModelProto) -> int:
    """Number of constants with two axes or more that are 8-bit integers."""
    types = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    return sum(tensor.data_type in types and len(tensor.dims) > 1 for tensor in model.graph.initializer)


def rough_scores(model: onnx.ModelProto) -> list[float]:
    """The step of what goes into each softmax that is rounded in steps above ROUGH."""
    steps = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        source = made.get(node.input[0]) if node.op_type == "Softmax" else None
        if source is not None and source.op_type == "DequantizeLinear" and source.input[1] in steps:
            found.append(float(onnx.numpy_helper.to_array(steps[source.input[1]]).max()))
    return [step for step in found if step > ROUGH]


def named_nodes(model: onnx.ModelProto, names: Iterable[str], field: str) -> set[str]:
    """The nodes that names mean: a node's own name, or a layer's or block's path in the network that was exported.

    Exported constants are still called by their paths (`layer1.0.conv1.weight`). Raises TechniqueError with the
    legal names where one means nothing.
    """
    found: set[str] = set()
    for name in names:
        meant = {node.name for node in model.graph.node if _means(name, node)}
        if not meant:
            legal = {path.rpartition(".")[0] for node in layers(model) for path in node.input[1:2]}
            known = {*legal, *(node.name for node in model.graph.node)} - {""}
            raise TechniqueError(f"{field}: the file has no layer and no node '{name}'. {nearest(name, known)}")
        found |= meant
    return found


def _means(name: str, node: onnx.NodeProto) -> bool:
    return node.name == name or any(given.startswith(f"{name}.") for given in node.input[1:])


def quantized_already(path: Path) -> str | None:
    """Why a file cannot be quantized once more, as a sentence; None where it can."""
    if QUANTIZED & {node.op_type for node in onnx.load(path).graph.node}:
        return "the file is quantized already; quantize it once."
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the quantizer prints; and it cannot set the root logger up, as its first message otherwise does."""
    root, nowhere = logging.getLogger(), logging.NullHandler()
    root.addHandler(nowhere)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.removeHandler(nowhere)
