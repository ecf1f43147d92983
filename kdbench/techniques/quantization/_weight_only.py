"""Linear layers of an ONNX file with weights of 4 or 8 bits; knows onnxruntime's quantizer, and no technique."""

import math
from collections.abc import Collection
from pathlib import Path

import onnx
from onnx import numpy_helper

from kdbench.errors import MeasureError, TechniqueError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.techniques.quantization import _onnx

ACCURACY_LEVEL = 4
"""Accuracy level of MatMulNBits: its input is rounded to int8, so that the product runs in integers."""


def large(model: onnx.ModelProto, smallest: int) -> list[onnx.NodeProto]:
    """Linear layers with that many weights or more."""
    counts = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 2}
    return [node for node in _onnx.layers(model, _onnx.LINEAR) if counts.get(node.input[1], 0) >= smallest]


def quantize(
    source: Path, result: Path, bits: int, block_size: int, symmetric: bool, smallest: int, exclude: Collection[str]
) -> int:
    """Write `source` with MatMulNBits for its large linear layers; how many there are.

    Raises TechniqueError where there is none, or where the runtime beside this Python cannot run it.
    """
    model = onnx.load(source)
    kept = _onnx.named_nodes(model, exclude, "exclude")
    chosen = {node.name for node in large(model, smallest)} - kept
    _products_for_gemms(model, chosen)
    others = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.name not in chosen]
    with _onnx.quiet():  # its import, too, sets the root logger up
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(
            model, bits, block_size, symmetric, accuracy_level=ACCURACY_LEVEL, nodes_to_exclude=others
        )
        quantizer.process()  # type: ignore[no-untyped-call]
    onnx.save(quantizer.model.model, result)
    count = _onnx.strip(result)["MatMulNBits"]
    if not count or count < len(chosen):
        raise TechniqueError(
            f"{count} of {len(chosen)} linear layers were quantized; nothing may be left out silently."
        )
    try:
        OnnxruntimeSession(str(result), SessionSpec())
    except MeasureError as error:
        raise TechniqueError(f"this onnxruntime has no kernel for {bits}-bit weights: {error}") from error
    return count


def _products_for_gemms(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Gemm is what torch's exporter writes for a linear layer, and what the quantizer passes over without a word."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        replaced = node.op_type == "Gemm" and node.name in names
        model.graph.node.extend(_product(model, node) if replaced else [node])
    used = {name for node in model.graph.node for name in node.input}
    left = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(left)


def _product(model: onnx.ModelProto, gemm: onnx.NodeProto) -> list[onnx.NodeProto]:
    """MatMul and Add for a Gemm alpha * x @ w + beta * b. Raises TechniqueError where x is transposed or scaled."""
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in gemm.attribute}
    if attributes.get("transA") or any(attributes.get(name, 1.0) != 1.0 for name in ("alpha", "beta")):
        raise TechniqueError(f"the linear layer '{gemm.name}' scales or transposes; name it in exclude.")
    (old,) = (tensor for tensor in model.graph.initializer if tensor.name == gemm.input[1])
    weight = numpy_helper.to_array(old)
    new = numpy_helper.from_array((weight.T if attributes.get("transB") else weight).copy(), f"{old.name}_product")
    model.graph.initializer.append(new)
    biased = len(gemm.input) > 2 and gemm.input[2]
    product = f"{gemm.output[0]}_product" if biased else gemm.output[0]
    nodes = [onnx.helper.make_node("MatMul", [gemm.input[0], new.name], [product], name=gemm.name)]
    if biased:
        nodes.append(onnx.helper.make_node("Add", [product, gemm.input[2]], [gemm.output[0]], name=f"{gemm.name}_bias"))
    return nodes
