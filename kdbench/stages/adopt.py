"""The adopt stage: a network with its weights, or an ONNX file, becomes a student or teacher as it was given."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs are there

from kdbench.errors import MeasureError, ModelError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Batch, Model, TaskDescription
from kdbench.ragged import Array
from kdbench.stages import _partial, torch_models
from kdbench.stages._data import EVALUATION_BATCH, TaskData
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.export import save_answers
from kdbench.stages.names import EXPORT_FACTS, ONNX_FILE, PUBLISHED
from kdbench.stages.work import Fact, Work, read_description
from kdbench.state_dicts import load_exactly
from kdbench.timing.onnx_files import copy_whole

MAC_RULE = "not counted: the file came as it is"


def adopt(work: Work) -> list[Fact]:
    """Take over the file of part "source": weights where there is a part "model", else an ONNX file."""
    path = Path(work.spec.parts["source"].fields["path"])
    if "model" in work.spec.parts:
        _weights(work, path)
    else:
        _onnx_file(work, path)
    return []


def _weights(work: Work, path: Path) -> None:
    part, task = work.spec.parts["model"], read_description(work.input("data"))
    model: Model = part.build()
    with torch.random.fork_rng(devices=[]):
        network = _partial.built(model, part, task)
    if work.spec.parts["source"].name == PUBLISHED:
        model.load_published(network, str(path))
    else:
        load_exactly(network, path, part.name)
    torch_models.save(network, part, work.out)


def _onnx_file(work: Work, path: Path) -> None:
    """Leave what an export stage leaves: the file, its answers on validation and test, what was counted."""
    plain_arithmetic()
    copy_whole(path, work.out / ONNX_FILE)
    data = TaskData.open(work)
    _name_input(work.out / ONNX_FILE, data.task)
    session = _session(work.out / ONNX_FILE, path, data.task)
    for split in ("validation", "test"):
        if data.has(split):
            save_answers(work.out, split, data, lambda batch: _answers(session, data.task, batch, path))
    (work.out / EXPORT_FACTS).write_text(json.dumps(_counts(work.out / ONNX_FILE)), encoding="utf-8")


def _name_input(copy: Path, task: TaskDescription) -> None:
    """Call a file's only input as the task calls its only one; nothing else in the file changes."""
    try:
        model = onnx.load(copy)
    except DecodeError:
        return  # the runtime says what is wrong with it
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(task.input_names) != 1 or inputs[0].name == task.input_names[0]:
        return
    _rename(model.graph, inputs[0].name, task.input_names[0])
    onnx.save(model, copy)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a value of a graph, and where the graphs inside it use it."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, old, new)


def _session(copy: Path, path: Path, task: TaskDescription) -> OnnxruntimeSession:
    try:
        session = OnnxruntimeSession(str(copy), SessionSpec())
    except MeasureError as error:
        raise ModelError(str(error).replace(str(copy), str(path))) from None
    if not set(session.input_names) <= set(task.input_names):  # of several it may take one alone
        raise ModelError(
            f"'{path}' takes {', '.join(session.input_names)}, and the task gives {', '.join(task.input_names)}; "
            "rename the file's inputs."
        )
    return session


def _answers(session: OnnxruntimeSession, task: TaskDescription, batch: Batch, path: Path) -> list[Array]:
    """One array (B, ...), float32, an output.

    Raises ModelError where the file cannot take a batch of the task's inputs, or gives others than the task says.
    """
    feed = {name: tensor.numpy() for name, tensor in zip(task.input_names, batch.inputs, strict=True)}
    try:
        found = session.run_checked(feed)
    except MeasureError as error:
        raise ModelError(f"'{path}' cannot take {EVALUATION_BATCH} inputs at once: {error}") from None
    if len(found) < len(task.outputs):
        named = ", ".join(task.output_names)
        raise ModelError(f"'{path}' gives {len(found)} outputs, and the task has {len(task.outputs)}: {named}.")
    for output, given in zip(task.outputs, found, strict=False):
        wanted = (len(batch), *output.axes)
        sizes = tuple(size if isinstance(axis, int) else axis for size, axis in zip(given.shape, wanted, strict=False))
        if given.ndim != len(wanted) or sizes != wanted:
            what = "logits by class" if output.kind == "classes" else output.kind.replace("_", " ")
            raise ModelError(f"'{path}' gives {given.shape} for a batch, and {wanted} was expected: {what}.")
    return [given.astype(np.float32) for given in found[: len(task.outputs)]]


def _counts(path: Path) -> dict[str, int | str | float]:
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer if tensor.dims]
    return {
        "parameter_count": sum(math.prod(weight.shape) for weight in weights),
        "nonzero_parameter_count": sum(int(np.count_nonzero(weight)) for weight in weights),
        "mac_rule": MAC_RULE,
        "parity_max_abs_difference": 0.0,
    }
