"""Stand-ins where there is no data or no model: random inputs of a file's own shapes, and a small network."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import MeasureError

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
SEED = 0
BATCHES = 8
"""Distinct ones, as many as the measuring program takes turns with."""
RESULTS_INSTEAD = "give a results folder and --case instead, whose stored examples are then used"
SIDE, CHANNELS, CLASSES = 32, (3, 16, 32, 64), 10


def write_random_inputs(model: Path, path: Path, batch_size: int = 1) -> Path:
    """Write an .npz of `random_inputs` of a file. Raises MeasureError."""
    arrays, _ = random_inputs(
        model, batch_size, "give a results folder and --case instead, whose examples are then used"
    )
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy types only its flag
    return path


def random_inputs(model: Path, batch_size: int | None, remedy: str) -> tuple[dict[str, Array], int]:
    """Random examples, (N, ...) by input name: normal floats, whole numbers of 0 and 1; and their batch size.

    That is the one given, else the file's own where it takes one only, else 1. Raises MeasureError, with the remedy,
    where the file is no ONNX model, or does not say enough of an input.
    """
    inputs = {value.name: value.type.tensor_type for value in graph_inputs(model)}
    fixed = {first.dim_value for tensor in inputs.values() for first in tensor.shape.dim[:1]} - {0}
    size = batch_size or min(fixed, default=1)
    if fixed - {size}:
        raise MeasureError(f"{model} takes batches of {min(fixed - {size})} only, got batch_size {size}.")
    random = np.random.default_rng(SEED)
    return {name: _random(random, name, tensor, size * BATCHES, remedy) for name, tensor in inputs.items()}, size


def graph_inputs(model: Path) -> "list[onnx.ValueInfoProto]":
    """The graph's inputs that are not weights."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs are there

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except OSError as error:
        raise MeasureError(f"cannot read the model {model} ({error.strerror}); name an ONNX file.") from None
    except DecodeError:
        raise MeasureError(f"{model} is no ONNX file; name one.") from None
    weights = {tensor.name for tensor in graph.initializer}
    found = [value for value in graph.input if value.name not in weights]
    if not found:
        raise MeasureError(f"{model} is no ONNX file with inputs; name one.")
    return found


def _random(random: np.random.Generator, name: str, tensor: "onnx.TypeProto.Tensor", count: int, remedy: str) -> Array:
    from onnx import helper

    axes = list(tensor.shape.dim)
    shape = [axis.dim_value for axis in axes[1:]]
    if not axes or 0 in shape:
        raise MeasureError(f"the input '{name}' has an axis without a fixed length after the first; {remedy}.")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if dtype.kind not in "fiub":
        raise MeasureError(f"the input '{name}' holds {dtype.name}, of which no random examples are made; {remedy}.")
    drawn = random.standard_normal((count, *shape)) if dtype.kind == "f" else random.integers(0, 2, (count, *shape))
    made: Array = drawn.astype(dtype)
    return made


def write_small_network(path: Path) -> Path:
    """Write a network of three convolutions with random weights for images (n, 3, 32, 32)."""
    import onnx
    from onnx import TensorProto, helper

    random, nodes, weights, last = np.random.default_rng(SEED), [], [], "images"
    for place, (channels, filters) in enumerate(itertools.pairwise(CHANNELS)):
        weights.append(_weight(random, f"kernel-{place}", filters, channels, 3, 3))
        strides = [2, 2] if place else [1, 1]
        nodes += [
            helper.make_node("Conv", [last, f"kernel-{place}"], [f"sum-{place}"], pads=[1, 1, 1, 1], strides=strides),
            helper.make_node("Relu", [f"sum-{place}"], [f"layer-{place}"]),
        ]
        last = f"layer-{place}"
    weights.append(_weight(random, "weight", CHANNELS[-1], CLASSES))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])
    graph = helper.make_graph(nodes, "small", [images], [logits], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def _weight(random: np.random.Generator, name: str, *shape: int) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array((0.1 * random.standard_normal(shape)).astype(np.float32), name)


def shapes_and_operators(model: Path) -> tuple[dict[str, tuple[int | str, ...]], frozenset[str]]:
    """The shape of each input of an ONNX file, and the operators in it. Raises MeasureError where it is none."""
    import onnx

    shapes = {
        value.name: tuple(axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim)
        for value in graph_inputs(model)
    }
    graph = onnx.load(model, load_external_data=False).graph
    return shapes, frozenset(node.op_type for node in graph.node)
