"""ONNX files in 16-bit floating point; knows onnxruntime's converter, and no technique."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from kdbench.errors import MeasureError, TechniqueError
from kdbench.measure.providers import PROVIDERS
from kdbench.measure.runtimes.onnxruntime import Onnxruntime, OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.techniques.quantization import _onnx

BF16_OPSET = 22
"""The first in which every operator that has a float form has a bf16 one; it changed nothing else since 20."""


def to_fp16(source: Path, result: Path) -> None:
    """Write `source` in fp16. Raises TechniqueError where it has no fp32 weight."""
    with _onnx.quiet():
        model = convert_float_to_float16(_loaded(source), keep_io_types=True)  # type: ignore[no-untyped-call]
    onnx.save(model, result)
    _onnx.strip(result)


def to_bf16(source: Path, result: Path) -> None:
    """Write `source` in bf16. Raises TechniqueError where it has no fp32 weight, or no provider here runs the file."""
    model = _loaded(source)
    for opset in model.opset_import:
        opset.version = max(opset.version, BF16_OPSET) if opset.domain == "" else opset.version
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(_rounded(tensor))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.BFLOAT16
            elif attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(_rounded(attribute.t))
    _cast_at_the_borders(graph)
    onnx.save(model, result)
    _onnx.strip(result)
    _check_it_loads(result)


def _loaded(source: Path) -> onnx.ModelProto:
    model = onnx.load(source)
    if not any(tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 for tensor in model.graph.initializer):
        raise TechniqueError("nothing to convert: the file has no 32-bit weights.")
    return model


def _rounded(tensor: TensorProto) -> TensorProto:
    """A tensor in bf16, to the nearest value, ties to even."""
    values = numpy_helper.to_array(tensor)
    return helper.make_tensor(tensor.name, TensorProto.BFLOAT16, values.shape, values.ravel().tolist())


def _cast_at_the_borders(graph: onnx.GraphProto) -> None:
    """fp32 outside, bf16 inside."""
    renamed: dict[str, str] = {}
    casts = []
    for given in graph.input:
        if given.type.tensor_type.elem_type == TensorProto.FLOAT:
            renamed[given.name] = f"{given.name}_bf16"
            casts.append(helper.make_node("Cast", [given.name], [renamed[given.name]], to=TensorProto.BFLOAT16))
    for given in graph.output:
        renamed[given.name] = f"{given.name}_bf16"
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    nodes = [*casts, *graph.node]
    nodes += [helper.make_node("Cast", [renamed[o.name]], [o.name], to=TensorProto.FLOAT) for o in graph.output]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _check_it_loads(path: Path) -> None:
    """Raises TechniqueError, with the runtime's own words, where no provider of the onnxruntime here runs a file."""
    here = Onnxruntime().describe()
    reasons = []
    for short in (short for short, name in PROVIDERS.items() if name in here["providers_available"]):
        try:
            OnnxruntimeSession(str(path), SessionSpec(provider=short))
        except MeasureError as error:
            reasons.append(f"{short}: {str(error).rpartition(' : ')[2].strip().removesuffix('.')}")
        else:
            return
    version, why = here["runtime_version"], "; ".join(reasons)
    raise TechniqueError(f"the onnxruntime {version} beside this Python runs no bf16 file of the model ({why}).")
