"""Fitted estimators as ONNX: nodes from a matrix of features to scores. Knows no estimator but scikit-learn's trees.

Matrices, kernels and neighbours are written in standard operators. skl2onnx would write a node for each pair of
classes (SVC), and for neighbours a loop over the stored examples that is 80 times slower (1.6 ms against 0.02 ms a call
on digits).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kdbench.models.column_graphs import column_nodes
from kdbench.protocols import TaskDescription
from kdbench.protocols.columns import TableColumns

Floats = NDArray[np.float32]
FEATURES, SCORES = "features", "logits"
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
ML_OPSET = 3
"""Version of the ai.onnx.ml operators; every release of skl2onnx asks for this one by default."""


@dataclass(frozen=True)
class Graph:
    """Nodes and constants that lead from FEATURES, float32 (B, F), to SCORES, float32 (B, classes) or (B, values)."""

    nodes: list[Any]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    """Operator domains that it uses beyond the standard one."""


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    """One operator with one output, which it is named after."""
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def matrix(weights: Floats, offset: Floats) -> Graph:
    """features @ weights.T + offset; weights: (classes, F), offset: (classes,)."""
    return Graph(
        [node("Gemm", [FEATURES, "weights", "offset"], SCORES, transB=1)], {"weights": weights, "offset": offset}
    )


def kernel(vectors: Floats, duals: Floats, offset: Floats, gamma: float) -> Graph:
    """exp(-gamma |x - v|^2) @ duals + offset; vectors: (S, F), duals: (S, classes).

    The squared distance is |x|^2 - 2 x v + |v|^2, so that one matrix product does the work.
    """
    nodes = [
        node("ReduceSumSquare", [FEATURES, "axis"], "own", keepdims=1),
        node("Gemm", [FEATURES, "vectors", "norms"], "others", alpha=-2.0, transB=1),
        node("Add", ["own", "others"], "distances"),
        node("Mul", ["distances", "width"], "exponents"),
        node("Exp", ["exponents"], "kernels"),
        node("Gemm", ["kernels", "duals", "offset"], SCORES),
    ]
    norms = np.square(vectors, dtype=np.float64).sum(1).astype(np.float32)
    constants = {"vectors": vectors, "norms": norms, "duals": duals, "offset": offset}
    return Graph(nodes, {**constants, "width": np.array([-gamma], np.float32), "axis": np.array([1])})


def neighbours(vectors: Floats, answers: Floats, count: int) -> Graph:
    """The mean of the `count` nearest vectors' answers; vectors: (S, F), answers: (S, classes).

    |x|^2 is the same for all of an example's distances, so it is left out.
    """
    nodes = [
        node("Gemm", [FEATURES, "vectors", "norms"], "distances", alpha=-2.0, transB=1),
        helper.make_node("TopK", ["distances", "count"], ["nearest", "places"], name="places", axis=1, largest=0),
        node("Gather", ["answers", "places"], "found"),
        node("ReduceMean", ["found", "axis"], SCORES, keepdims=0),
    ]
    norms = np.square(vectors, dtype=np.float64).sum(1).astype(np.float32)
    sizes = {"count": np.array([count]), "axis": np.array([1])}
    return Graph(nodes, {"vectors": vectors, "norms": norms, "answers": answers, **sizes})


def trees(estimator: Any, feature_count: int, opset: int) -> Graph:
    """scikit-learn's trees, converted by skl2onnx. A classifier there has two outputs, of which the scores are kept."""
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.convert import to_onnx

    features: Any = FloatTensorType([None, feature_count])
    classifies = hasattr(estimator, "predict_proba")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = to_onnx(
            estimator,
            initial_types=[(FEATURES, features)],
            options={id(estimator): {"zipmap": False}} if classifies else None,
            target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
        )
    found = made.graph.output[-1].name
    for made_node in made.graph.node:
        made_node.output[:] = [SCORES if name == found else name for name in made_node.output]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    return Graph(_needed(list(made.graph.node)), constants, ("ai.onnx.ml",))


def _needed(nodes: list[Any]) -> list[Any]:
    """The nodes that SCORES rests on, in order."""
    wanted, kept = {SCORES}, []
    for each in reversed(nodes):
        if wanted & {*each.output}:
            wanted |= {*each.input}
            kept.append(each)
    return kept[::-1]


def whole(graph: Graph, task: TaskDescription, opset: int) -> onnx.ModelProto:
    """An ONNX model with the task's inputs, its one output, and a dynamic batch axis.

    The input is flattened, or a table's columns become features, then the graph runs.
    """
    columns = TableColumns.of(task)
    if columns is None:
        (name,) = task.input_names
        nodes, constants = [node("Flatten", [name], FEATURES, axis=1)], dict[str, NDArray[Any]]()
    else:
        nodes, constants = column_nodes(columns, FEATURES)
    constants |= graph.constants
    (output,) = task.outputs
    for each in graph.nodes:
        each.output[:] = [output.name if name == SCORES else name for name in each.output]
    made = helper.make_graph(
        [*nodes, *graph.nodes],
        "estimator",
        [helper.make_tensor_value_info(one.name, TYPES[one.dtype], ["batch", *one.axes]) for one in task.inputs],
        [helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["batch", *output.axes])],
        [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, ML_OPSET) for domain in graph.domains)]
    return helper.make_model(made, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
