"""The export stage: a model becomes one ONNX file that is checked against it; what it holds is counted here."""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from kdbench.errors import ExportError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import TaskDescription, Technique
from kdbench.stages import _estimators, torch_models
from kdbench.stages._constant_names import name_weights
from kdbench.stages._data import TaskData
from kdbench.stages._mac_count import MAC_RULE, mac_count
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.names import EXPORT_FACTS, ONNX_FILE
from kdbench.stages.rehearsal import check_repeatable
from kdbench.stages.work import Fact, Work

Answer = Callable[..., np.ndarray]
"""Inputs -> logits (B, classes)."""
CPU = torch.device("cpu")
TOLERANCE = 1e-3
"""Largest logit difference allowed between torch and the float file, relative to the largest logit (at least 1)."""
AGREEMENT = 0.9
"""Least share of examples on which an 8-bit file and torch's rounded network give the same class. Where a sum lies
between two levels, float arithmetic in another order may choose the other one, so logits differ by whole levels."""


def export(work: Work) -> list[Fact]:
    """Write `model.onnx`, the model's own logits on validation and test, and what was counted."""
    plain_arithmetic()
    data = TaskData.open(work)
    written = _estimator if _estimators.is_fitted(work.input("model")) else _network
    answer, facts = written(work, data)
    for split in ("validation", "test"):
        if data.has(split):
            np.save(work.out / f"{split}_logits.npy", _logits(answer, data, split))
    (work.out / EXPORT_FACTS).write_text(json.dumps(facts), encoding="utf-8")
    work.log.info("exported; largest difference of logits %.2g", facts["parity_max_abs_difference"])
    return []


def _network(work: Work, data: TaskData) -> tuple[Answer, Fact]:
    path = work.out / ONNX_FILE
    model = torch_models.load(work.input("model"), data.task, CPU)
    techniques: list[Technique] = [one.build() for one in torch_models.changed_by(work.input("model"))]
    inputs = next(data.in_order("train", CPU)).inputs
    example = tuple(tensor[:2] for tensor in inputs)
    check_repeatable(model, inputs)
    write_file(model, techniques, example, data.task, path, work.spec.settings["opset"])
    difference = parity(model, path, data.task, inputs, rounded=is_rounded(techniques))
    return lambda *given: model(*given).numpy(), {
        **counts(model, path, data.task, example),
        "parity_max_abs_difference": difference,
    }


def _estimator(work: Work, data: TaskData) -> tuple[Answer, Fact]:
    from kdbench.stages import _estimator_file as files  # scikit-learn takes a second to import

    fitted = _estimators.load(work.input("model"))
    files.write(fitted, data.task, work.out / ONNX_FILE, work.spec.settings["opset"])
    difference = files.parity(fitted, work.out / ONNX_FILE, data.task, next(data.in_order("train", CPU)).inputs[0])
    facts = {**files.counts(fitted), "parity_max_abs_difference": difference}
    return lambda *given: files.answer(fitted, *given), facts


def write_file(
    model: nn.Module,
    techniques: Sequence[Technique],
    example: tuple[torch.Tensor, ...],
    task: TaskDescription,
    path: Path,
    opset: int,
) -> None:
    """Export a network in the form that the techniques which changed it give it, and let them check the file.

    Raises ExportError.
    """
    form = model
    for technique in techniques:
        form = technique.file_form(form)
    to_onnx(form, example, task, path, opset)
    for technique in techniques:
        technique.check_file(path, model)


def is_rounded(techniques: Sequence[Technique]) -> bool:
    """Whether what one of the techniques made computes in fewer bits."""
    return any("rounding" in technique.effects for technique in techniques)


def to_onnx(model: nn.Module, example: tuple[torch.Tensor, ...], task: TaskDescription, path: Path, opset: int) -> None:
    """Export with a dynamic batch axis into one file without the exporter's metadata (which holds source paths).

    Raises ExportError with the exporter's own first line.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                example,
                path,
                dynamo=True,
                opset_version=opset,
                input_names=list(task.input_names),
                output_names=["logits"],
                dynamic_shapes=tuple({0: "batch"} for _ in example),
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0]
        raise ExportError(f"{type(model).__name__} cannot be exported to ONNX: {line}") from error
    written = onnx.load(path)
    name_weights(written, model.state_dict().keys())
    onnx.save(stripped(written), path)
    onnx.checker.check_model(path, full_check=True)


def stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without metadata, doc strings and inner value infos: the same bytes wherever it is exported."""
    for holder in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        del holder.metadata_props[:]
        holder.doc_string = ""
    for function in model.functions:
        for holder in (function, *function.node):
            del holder.metadata_props[:]
            holder.doc_string = ""
    del model.graph.value_info[:]
    return model


def parity(
    model: nn.Module, path: Path, task: TaskDescription, inputs: tuple[torch.Tensor, ...], rounded: bool = False
) -> float:
    """The largest logit difference between torch and the file, at batches of 1 and 5 (a frozen batch axis shows there).

    rounded: the file computes in fewer bits, so all inputs are compared, by their classes.

    Raises ExportError when the difference is above TOLERANCE, or the agreement below AGREEMENT.
    """
    session = OnnxruntimeSession(str(path), SessionSpec())
    worst = 0.0
    for batch in (1, 5, *([len(inputs[0])] if rounded else [])):
        some = tuple(tensor[:batch] for tensor in inputs)
        with torch.inference_mode():
            expected = model(*some).numpy()
        got = session.run_checked({name: t.numpy() for name, t in zip(task.input_names, some, strict=True)})[0]
        if got.shape != expected.shape:
            raise ExportError(f"at batch {batch} the file gives shape {got.shape}, torch {expected.shape}.")
        difference = float(np.abs(got - expected).max())
        if rounded:
            agreement = float((got.argmax(1) == expected.argmax(1)).mean())
            if batch > 5 and agreement < AGREEMENT:
                raise ExportError(f"the 8-bit file and the network agree on {agreement:.0%} of {batch} examples only.")
        elif not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ExportError(f"at batch {batch} the file's logits differ from torch's by {difference:.3g}.")
        worst = max(worst, difference)
    return worst


def counts(model: nn.Module, path: Path, task: TaskDescription, example: tuple[torch.Tensor, ...]) -> Fact:
    """Parameters of a network, those that are not zero, and multiply-accumulates of one example in its file at `path`.

    Writes a scratch file beside it, and removes it.
    """
    parameters = list(model.parameters())
    one = {name: tensor[:1].numpy() for name, tensor in zip(task.input_names, example, strict=True)}
    return {
        "parameter_count": sum(p.numel() for p in parameters),
        "nonzero_parameter_count": sum(int(torch.count_nonzero(p)) for p in parameters),
        "mac_count": mac_count(path, one, path.with_suffix(".counted")),
        "mac_rule": MAC_RULE,
    }


@torch.inference_mode()
def _logits(answer: Answer, data: TaskData, split: str) -> np.ndarray:
    return np.concatenate([answer(*batch.inputs) for batch in data.in_order(split, CPU)])
