"""What is counted in an ONNX file, on graphs small enough to count by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdbench.stages._contents import contents, counts

WEIGHT = np.array([[0.5, 0.0, -0.5], [1.0, 0.0, 0.0]], np.float32)
"""Six numbers, three of them zero."""


def model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


def product(weight: str, kind: str = "MatMul") -> onnx.NodeProto:
    return helper.make_node(kind, ["x", weight], ["y"])


def test_a_float_layer_has_its_weights_and_bias_and_is_left_in_float() -> None:
    shape, bias = np.array([1, 2], np.int64), np.array([0.0, 1.0], np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z"]), helper.make_node("Reshape", ["z", "shape"], ["y"])]
    found = model(nodes, w=WEIGHT, b=bias, shape=shape)

    assert counts(found) == {"parameter_count": 8, "nonzero_parameter_count": 4}
    assert contents(found) == {
        "weight_bytes_by_dtype": {"float": 32, "int64": 16},
        "quantized_weight_fraction": 0.0,
        "layer_count": 1,
        "float_layer_count": 1,
    }


def test_single_numbers_and_running_statistics_are_no_parameters() -> None:
    one = np.ones(3, np.float32)
    nodes = [
        helper.make_node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["z"]),
        helper.make_node("Mul", ["z", "half"], ["y"]),
    ]
    found = model(nodes, scale=one, shift=one, mean=one, variance=one, half=np.array(0.5, np.float32))

    assert counts(found)["parameter_count"] == 6
    assert contents(found)["layer_count"] == 0


@pytest.mark.parametrize(
    ("zero", "axis", "nonzero"),
    [
        (np.array(0, np.int8), 1, 3),
        (np.array([0, 0], np.int8), 0, 3),  # one a row
        (np.array([4, 0, 0], np.int8), 1, 2),  # one a column: in the first one 4 is nothing
    ],
)
def test_an_integer_that_stands_for_zero_is_zero(zero: np.ndarray, axis: int, nonzero: int) -> None:
    stored = np.array([[4, 0, -4], [8, 0, 0]], np.int8)
    scale = np.full(zero.shape, 0.125, np.float32)
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"], axis=axis), product("f")]
    found = model(nodes, w=stored, scale=scale, zero=zero)

    assert counts(found) == {"parameter_count": 6, "nonzero_parameter_count": nonzero}
    assert contents(found)["quantized_weight_fraction"] == 1.0
    assert (contents(found)["layer_count"], contents(found)["float_layer_count"]) == (1, 0)


def test_dynamic_quantization_leaves_a_scale_that_is_no_parameter() -> None:
    stored = np.array([[129, 128, 127], [130, 128, 128]], np.uint8)
    nodes = [
        helper.make_node("MatMulInteger", ["x", "w_quantized", "x_zero", "w_zero_point"], ["i"]),
        helper.make_node("Mul", ["i", "w_scale"], ["y"]),
    ]
    found = model(nodes, w_quantized=stored, w_zero_point=np.array(128, np.uint8), w_scale=np.ones(3, np.float32))

    assert counts(found) == {"parameter_count": 6, "nonzero_parameter_count": 3}
    assert contents(found)["float_layer_count"] == 0


def test_numbers_of_four_bits_share_bytes() -> None:
    tensor = helper.make_tensor("w", TensorProto.INT4, [2, 3], [1, 0, -1, 2, 0, 0])
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale"], ["f"]), product("f")]
    found = helper.make_model(helper.make_graph(nodes, "g", [], [], [tensor, scale]))

    assert contents(found)["weight_bytes_by_dtype"] == {"int4": 3, "float": 4}
    assert counts(found) == {"parameter_count": 6, "nonzero_parameter_count": 3}


@pytest.mark.parametrize(("points", "nonzero"), [(None, 3), ([0x10], 6)])
def test_packed_weights_are_counted_one_by_one(points: list[int] | None, nonzero: int) -> None:
    # one column of 6 numbers in a block of 16; 4 bits each, the lower half first: 9 8 7, 8 1 8, then padding
    packed = np.array([0x89, 0x87, 0x81, 0x88, 0, 0, 0, 0], np.uint8).reshape(1, 1, 8)
    given = ["x", "w", "scales", *(["points"] if points else [])]
    node = helper.make_node("MatMulNBits", given, ["y"], K=6, N=1, bits=4, block_size=16, domain="com.microsoft")
    extra = {"points": np.array(points, np.uint8).reshape(1, 1)} if points else {}
    found = model([node], w=packed, scales=np.ones((1, 1), np.float32), **extra)

    assert counts(found) == {"parameter_count": 6, "nonzero_parameter_count": nonzero}
    assert contents(found)["quantized_weight_fraction"] == 1.0
    assert contents(found)["float_layer_count"] == 0


def test_a_product_of_two_activations_is_no_layer_and_a_transposed_weight_is_one() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "z"], ["a"]),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["a", "t"], ["y"]),
    ]
    found = contents(model(nodes, w=WEIGHT))

    assert (found["layer_count"], found["float_layer_count"]) == (1, 1)
