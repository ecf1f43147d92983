"""What an ONNX file holds: its parameters and which of them are zero, bytes by data type, layers left in float.

Needs neither torch nor a runtime.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from kdbench.measure.execution_proof import INT8_KERNELS
from kdbench.stages.work import Fact

PACKED = "MatMulNBits"
"""onnxruntime's product with weights of a few bits, several to a byte."""
INTEGERS: dict[tuple[str, int], int | None] = {
    **{("DequantizeLinear", 0): 2, ("MatMulInteger", 1): 3, ("ConvInteger", 1): 3},
    **{("QLinearConv", 3): 5, ("QLinearMatMul", 3): 5, ("QGemm", 3): 5, ("QLinearConv", 8): None, ("QGemm", 6): None},
}
"""(operator, input) where integers stand for learnt numbers -> the input that says which integer is zero (None: 0)."""
NOT_LEARNT = frozenset(
    {
        *((op, place) for op in ("QuantizeLinear", "DequantizeLinear") for place in (1, 2)),
        *((op, place) for op in ("QLinearConv", "QLinearMatMul") for place in (1, 4, 6)),
        *((PACKED, 2), ("QGemm", 1), ("QGemm", 4), ("QGemm", 7)),
        *(("BatchNormalization", 3), ("BatchNormalization", 4)),
        *(("Resize", 1), ("Resize", 2)),
    }
)
"""(operator, input) of floating-point constants that are no parameters: scales, running statistics."""
SCALE, QUANTIZED = "_scale", "_quantized"
"""Endings of the two constants that a weight becomes in onnxruntime's dynamic quantization."""
LAYERS = {
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger", "DynamicQuantizeMatMul", PACKED), (1,)),
    **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger"), (1, 0)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), (3,)),
}
"""Convolutions and matrix products -> the inputs that may be their weights."""
PASSED = frozenset(
    {"DequantizeLinear", "QuantizeLinear", "Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze"}
)
"""Operators that may stand between stored weights and their layer."""
SMALL_BITS = 8

Place = tuple[onnx.NodeProto, int]


@dataclass(frozen=True)
class Parameter:
    """One tensor of learnt numbers as the file stores it."""

    count: int
    nonzero_count: int
    axis_count: int
    bits: int
    """Bits that one number takes."""


def contents(model: onnx.ModelProto) -> Fact:
    """Bytes of the constants by data type, the share of weights (two axes or more) of 8 bits or fewer, layers.

    A layer is a convolution or matrix product whose weights the file stores; it is left in float where they reach it
    without having been integers. Which kernels then run in int8 is for the runtime to say.
    """
    weights = [parameter for parameter in parameters(model) if parameter.axis_count > 1]
    total = sum(parameter.count for parameter in weights)
    small = sum(parameter.count for parameter in weights if parameter.bits <= SMALL_BITS)
    in_float = list(_in_float(model))
    return {
        "weight_bytes_by_dtype": _bytes_by_dtype(model),
        "quantized_weight_fraction": small / total if total else 0.0,
        "layer_count": len(in_float),
        "float_layer_count": sum(in_float),
    }


def counts(model: onnx.ModelProto) -> Fact:
    """Parameters of the file and those that are not zero; batch normalisation that was folded away is not in it."""
    found = parameters(model)
    return {
        "parameter_count": sum(parameter.count for parameter in found),
        "nonzero_parameter_count": sum(parameter.nonzero_count for parameter in found),
    }


def parameters(model: onnx.ModelProto) -> list[Parameter]:
    """The constants that were learnt: without scales, zero points, running statistics, shapes and single numbers."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    users: dict[str, list[Place]] = defaultdict(list)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            users[name].append((node, place))
    found = (_parameter(tensor, users[name], constants) for name, tensor in constants.items())
    return [parameter for parameter in found if parameter is not None]


def _parameter(
    tensor: onnx.TensorProto, users: list[Place], constants: dict[str, onnx.TensorProto]
) -> Parameter | None:
    for node, place in users:
        if (node.op_type, place) == (PACKED, 1):
            return _unpacked(tensor, node, constants)
        if (node.op_type, place) in INTEGERS:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            zero = _zero(values, node, INTEGERS[node.op_type, place], constants)
            return _made(tensor, int((values != zero).sum()))
    scale = tensor.name.endswith(SCALE) and tensor.name.removesuffix(SCALE) + QUANTIZED in constants
    beside = scale or any((node.op_type, place) in NOT_LEARNT for node, place in users)
    values = numpy_helper.to_array(tensor)
    if beside or not tensor.dims or not _is_float(tensor):
        return None
    return _made(tensor, int(np.count_nonzero(values.astype(np.float64))))


def _made(tensor: onnx.TensorProto, nonzero_count: int) -> Parameter:
    return Parameter(math.prod(tensor.dims), nonzero_count, len(tensor.dims), _bits(tensor))


def _zero(
    values: np.ndarray, node: onnx.NodeProto, place: int | None, constants: dict[str, onnx.TensorProto]
) -> np.ndarray:
    """The integer that stands for zero, in a shape that goes with `values`: one, one a channel, or one a block."""
    named = node.input[place] if place is not None and place < len(node.input) else ""
    if named not in constants:
        return np.zeros((), np.int32)
    zero: np.ndarray = numpy_helper.to_array(constants[named]).astype(np.int32)
    if zero.size == 1:
        return zero.reshape(())
    axis = (
        int(_attribute(node, "axis", 1)) if node.op_type == "DequantizeLinear" else 0 if "Conv" in node.op_type else -1
    )
    axis %= values.ndim
    if zero.ndim == 1:
        return zero.reshape([-1 if place == axis else 1 for place in range(values.ndim)])
    blocks = np.repeat(zero, int(_attribute(node, "block_size", 1)) or 1, axis)
    return blocks.take(range(values.shape[axis]), axis)


def _unpacked(tensor: onnx.TensorProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> Parameter:
    """The weights of a MatMulNBits, packed (columns, blocks, bytes); without zero points the middle level is zero."""
    rows, columns, bits, block = (int(_attribute(node, name, 0)) for name in ("K", "N", "bits", "block_size"))
    values = _levels(numpy_helper.to_array(tensor).reshape(columns, -1), bits)[:, :rows]
    zero = np.full((columns, 1), 1 << (bits - 1))
    if len(node.input) > 3 and node.input[3] in constants:
        points = numpy_helper.to_array(constants[node.input[3]]).reshape(columns, -1)
        zero = np.repeat(_levels(points, bits), block, 1)[:, :rows]
    return Parameter(rows * columns, int((values != zero).sum()), 2, bits)


def _levels(packed: np.ndarray, bits: int) -> np.ndarray:
    """(columns, bytes) -> (columns, numbers), the lowest bits first."""
    shifts = np.arange(0, 8, bits)
    return ((packed[..., None] >> shifts) & ((1 << bits) - 1)).reshape(len(packed), -1)


def _attribute(node: onnx.NodeProto, name: str, otherwise: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), otherwise)


def _in_float(model: onnx.ModelProto) -> Iterator[bool]:
    """For each layer, whether its weights are floating-point numbers from the file to the layer."""
    constants = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        ways = [_way(node.input[place], constants, makers) for place in LAYERS.get(node.op_type, ())]
        way = next((way for way in ways if way is not None), None)
        if way is not None:
            yield node.op_type not in INT8_KERNELS and "DequantizeLinear" not in way


def _way(name: str, constants: set[str], makers: dict[str, onnx.NodeProto]) -> list[str] | None:
    """The operators between a stored constant and a layer's input `name`; None where no constant leads there."""
    passed: list[str] = []
    while name not in constants:
        maker = makers.get(name)
        if maker is None or maker.op_type not in PASSED:
            return None
        passed.append(maker.op_type)
        name = maker.input[0]
    return passed


def _bytes_by_dtype(model: onnx.ModelProto) -> dict[str, int]:
    found: dict[str, int] = {}
    for tensor in model.graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        found[name] = found.get(name, 0) + math.ceil(math.prod(tensor.dims) * _bits(tensor) / 8)
    return found


def _bits(tensor: onnx.TensorProto) -> int:
    """Bits of one stored number; two numbers of 4 bits share a byte."""
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    if name.endswith("INT4") or name == "FLOAT4E2M1":
        return 4
    return 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def _is_float(tensor: onnx.TensorProto) -> bool:
    return "FLOAT" in (name := onnx.TensorProto.DataType.Name(tensor.data_type)) or name == "DOUBLE"
