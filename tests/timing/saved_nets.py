"""ONNX files to time, built by hand: what they take is theirs to say."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_net(
    path: Path, width: int = 16, shape: tuple[int | str, ...] = ("n", 8), kind: int = TensorProto.FLOAT
) -> Path:
    """Cast to float, a product with (8, width), a product back with (width, 4); `shape` and `kind` of its input x."""
    random = np.random.default_rng(0)
    weights = {"a": (8, width), "b": (width, 4)}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["f", "a"], ["h"]),
            helper.make_node("MatMul", ["h", "b"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(random.normal(size=size).astype(np.float32), name) for name, size in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
