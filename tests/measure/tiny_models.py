"""Tiny ONNX models, built by hand, and their entries of a job's `files`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FileOf = Callable[[str, onnx.ModelProto], dict[str, str]]
"""The fixture `file_of`: saves a model under a name and gives its entry."""


def entry(path: Path) -> dict[str, str]:
    return {"digest": hashlib.sha256(path.read_bytes()).hexdigest(), "path": str(path)}


def conv_net(channels: int = 8) -> onnx.ModelProto:
    """Conv, ReLU, mean over the image, Gemm: images (n, 3, 8, 8) to logits (n, 4)."""
    return _model(
        [
            helper.make_node("Conv", ["x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("GlobalAveragePool", ["b"], ["c"]),
            helper.make_node("Flatten", ["c"], ["d"]),
            helper.make_node("Gemm", ["d", "weight"], ["y"]),
        ],
        kernel=(channels, 3, 3, 3),
        weight=(channels, 4),
    )


def gemm_net() -> onnx.ModelProto:
    """Flatten, Gemm: images (n, 3, 8, 8) to logits (n, 4)."""
    nodes = [helper.make_node("Flatten", ["x"], ["a"]), helper.make_node("Gemm", ["a", "weight"], ["y"])]
    return _model(nodes, weight=(192, 4))


def infinite_net() -> onnx.ModelProto:
    """Divides by zero: every logit is infinite."""
    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    nodes = [helper.make_node("Flatten", ["x"], ["a"]), helper.make_node("Gemm", ["a", "weight"], ["b"]), zero]
    return _model([*nodes, helper.make_node("Div", ["b", "zero"], ["y"])], weight=(192, 4))


def _model(nodes: list[onnx.NodeProto], **shapes: tuple[int, ...]) -> onnx.ModelProto:
    random = np.random.default_rng(1)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
