"""The adopt stage: a user's own file becomes a teacher, a network with its weights or an ONNX file."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch

from kdbench.errors import MeasureError, ModelError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Model, TaskDescription
from kdbench.stages import torch_models
from kdbench.stages._data import EVALUATION_BATCH, TaskData
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.names import EXPORT_FACTS, ONNX_FILE
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
        network = model.build(task)
    load_exactly(network, path, part.name)
    torch_models.save(network, part, work.out)


def _onnx_file(work: Work, path: Path) -> None:
    """Leave what an export stage leaves: the file, its answers on validation and test, what was counted."""
    plain_arithmetic()
    copy_whole(path, work.out / ONNX_FILE)
    data = TaskData.open(work)
    session = _session(work.out / ONNX_FILE, path, data.task)
    for split in ("validation", "test"):
        if data.has(split):
            np.save(work.out / f"{split}_logits.npy", _logits(session, data, split, path))
    (work.out / EXPORT_FACTS).write_text(json.dumps(_counts(work.out / ONNX_FILE)), encoding="utf-8")


def _session(copy: Path, path: Path, task: TaskDescription) -> OnnxruntimeSession:
    try:
        session = OnnxruntimeSession(str(copy), SessionSpec())
    except MeasureError as error:
        raise ModelError(str(error).replace(str(copy), str(path))) from None
    if sorted(session.input_names) != sorted(task.input_names):
        raise ModelError(
            f"'{path}' takes {', '.join(session.input_names)}, and the task gives {', '.join(task.input_names)}; "
            "rename the file's inputs."
        )
    return session


def _logits(session: OnnxruntimeSession, data: TaskData, split: str, path: Path) -> np.ndarray:
    """(N, classes), float32. Raises ModelError where the file cannot take a batch of the task's inputs."""
    found = []
    for batch in data.in_order(split, torch.device("cpu")):
        feed = {name: tensor.numpy() for name, tensor in zip(data.task.input_names, batch.inputs, strict=True)}
        try:
            logits = session.run_checked(feed)[0]
        except MeasureError as error:
            raise ModelError(f"'{path}' cannot take {EVALUATION_BATCH} inputs at once: {error}") from None
        if logits.shape != (len(batch), data.task.class_count):
            wanted = (len(batch), data.task.class_count)
            raise ModelError(f"'{path}' gives {logits.shape} for a batch, and {wanted} was expected: logits by class.")
        found.append(logits.astype(np.float32))
    return np.concatenate(found)


def _counts(path: Path) -> dict[str, int | str | float]:
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer if tensor.dims]
    return {
        "parameter_count": sum(math.prod(weight.shape) for weight in weights),
        "nonzero_parameter_count": sum(int(np.count_nonzero(weight)) for weight in weights),
        "mac_rule": MAC_RULE,
        "parity_max_abs_difference": 0.0,
    }
