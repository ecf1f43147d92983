"""The export stage: a model becomes one ONNX file that is checked against it; what it holds is counted here."""

import inspect
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from kdbench.errors import ExportError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Batch, TaskDescription, Technique
from kdbench.ragged import Array, Index
from kdbench.stages import _estimators, _parity, _recurrent, torch_models
from kdbench.stages._constant_names import name_weights
from kdbench.stages._data import EVALUATION_BATCH, TaskData
from kdbench.stages._mac_count import MAC_RULE, mac_count
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.names import EXPORT_FACTS, ONNX_FILE, answers_file
from kdbench.stages.rehearsal import check_repeatable
from kdbench.stages.work import Fact, Work
from kdbench.tasks.arrays import ArrayData, shortest_first
from kdbench.tasks.batches import plain_batches
from kdbench.tasks.examples import Answers

Answer = Callable[[Batch], Sequence[Array]]
"""A batch -> the model's own outputs, one array (B, ...) an output."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CPU = torch.device("cpu")
PADDED = 1e-3
"""How far the answers to an example alone and in a padded batch may differ before that is noted; relative, see
`_parity.padding_difference`. A masked transformer stays below 1e-6, a bidirectional LSTM comes to 0.02."""


def export(work: Work) -> list[Fact]:
    """Write `model.onnx`, the model's own outputs on validation and test, and what was counted."""
    plain_arithmetic()
    data = TaskData.open(work)
    written = _estimator if _estimators.is_fitted(work.input("model")) else _network
    answer, facts = written(work, data)
    for split in ("validation", "test"):
        if data.has(split):
            save_answers(work.out, split, data, answer)
    (work.out / EXPORT_FACTS).write_text(json.dumps(facts), encoding="utf-8")
    work.log.info("exported; largest difference of logits %.2g", facts["parity_max_abs_difference"])
    return []


def save_answers(out: Path, split: str, data: TaskData, answer: Answer) -> None:
    """Write a model's own outputs for a split, one file an output, without what is padding."""
    order = shortest_first(data.arrays, split)
    with Answers(data.task, out) as answers:
        for batch in plain_batches(data.arrays, split, EVALUATION_BATCH, CPU, order):
            answers.add(answer(batch), {axis: found.numpy() for axis, found in batch.lengths.items()})
        answers.save(order, [answers_file(out, split, number) for number in range(len(data.task.outputs))])


def _network(work: Work, data: TaskData) -> tuple[Answer, Fact]:
    path = work.out / ONNX_FILE
    model = torch_models.load(work.input("model"), data.task, CPU)
    techniques: list[Technique] = [one.build() for one in torch_models.changed_by(work.input("model"))]
    first = next(data.in_order("train", CPU))
    check_repeatable(model, first.inputs)
    example = first.part(slice(2)).inputs
    write_file(model, techniques, example, data.task, path, work.spec.settings["opset"])
    rounded = is_rounded(techniques)
    sized = () if rounded else _parity.sized_batches(data.arrays)
    lengths = {axis: found.numpy() for axis, found in first.lengths.items()}
    difference = parity(model, path, data.task, first.inputs, rounded, lengths, sized)
    return lambda batch: _parity.network_answers(model, batch.inputs, data.task), {
        **counts(model, path, data.task, _parity.median_example(data.arrays)),
        **_padding_facts(path, data.arrays),
        "parity_max_abs_difference": difference,
    }


def _padding_facts(path: Path, data: ArrayData) -> Fact:
    """How far answers depend on padding, where examples differ in length; a sentence where they do."""
    difference = _parity.padding_difference(OnnxruntimeSession(str(path), SessionSpec()), data)
    if difference is None:
        return {}
    note = (
        f"The network answers an example in a batch of longer ones otherwise than alone, by {difference:.2g} of its "
        "largest output: padding reaches its answers, so they depend on what an example is batched with."
    )
    return {"padding_difference": difference, **({"notes": [note]} if difference > PADDED else {})}


def _estimator(work: Work, data: TaskData) -> tuple[Answer, Fact]:
    from kdbench.stages import _estimator_file as files  # scikit-learn takes a second to import

    fitted = _estimators.load(work.input("model"))
    files.write(fitted, data.task, work.out / ONNX_FILE, work.spec.settings["opset"])
    difference = files.parity(fitted, work.out / ONNX_FILE, data.task, next(data.in_order("train", CPU)).inputs)
    facts = {**files.counts(fitted), "parity_max_abs_difference": difference}
    return lambda batch: [files.answer(fitted, data.task, batch.inputs)], facts


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
    """Export into one file without the exporter's metadata (which holds source paths).

    Every axis that varies is dynamic, the batch axis among them.

    Raises ExportError with the first line of what the exporter met.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), _recurrent.kept_whole(_recurrent.GRU):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                example,
                path,
                dynamo=True,
                opset_version=opset,
                input_names=list(task.input_names),
                output_names=list(task.output_names),
                dynamic_shapes=_by_signature(model, dynamic_shapes(task)),
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ExportError(f"{type(model).__name__} cannot be exported to ONNX: {_reason(error)}") from error
    written = onnx.load(path)
    drop_unused_inputs(written.graph)
    name_weights(written, model.state_dict().keys())
    onnx.save(stripped(written), path)
    onnx.checker.check_model(path, full_check=True)


def drop_unused_inputs(graph: onnx.GraphProto) -> None:
    """Take out the inputs that nothing in the file reads: of several senses a network may have one alone."""
    read = {name for node in graph.node for name in _read_by(node)} | {output.name for output in graph.output}
    for value in [value for value in graph.input if value.name not in read]:
        graph.input.remove(value)


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, the graphs inside it included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                yield from _read_by(each)


def _by_signature(model: nn.Module, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs' shapes as forward() takes them: those of `*inputs` are one argument to the exporter."""
    parameters = inspect.signature(model.forward).parameters.values()
    starred = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    return (shapes,) if starred and len(parameters) == 1 else shapes


def _reason(error: BaseException) -> str:
    """The first line of what made the exporter give up, without colours: its own words only name the step."""
    while error.__cause__ is not None:
        error = error.__cause__
    return COLOUR.sub("", str(error).strip() or type(error).__name__).splitlines()[0]


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


def dynamic_shapes(task: TaskDescription) -> tuple[dict[int, str], ...]:
    """For each input, the names of its axes of no fixed size, by place."""
    return tuple(
        {0: "batch", **{1 + place: axis for place, axis in enumerate(one.axes) if isinstance(axis, str)}}
        for one in task.inputs
    )


def parity(
    model: nn.Module,
    path: Path,
    task: TaskDescription,
    inputs: tuple[torch.Tensor, ...],
    rounded: bool = False,
    lengths: Mapping[str, Index] | None = None,
    sized: Iterable[tuple[str, tuple[torch.Tensor, ...]]] = (),
) -> float:
    """The largest difference of outputs between torch and the file, at batches of 1 and 5 (a frozen axis shows there).

    rounded: the file computes in fewer bits, so all inputs are compared, by what the outputs decide. lengths: how long
    each of the inputs is, by axis. sized: further batches, each with the words that name its size.

    Raises ExportError when the difference is above TOLERANCE, or the agreement below AGREEMENT.
    """
    session = OnnxruntimeSession(str(path), SessionSpec())
    if rounded:
        return _parity.compare_decisions(model, session, task, inputs, lengths or {})
    small = ((f"at batch {count}", tuple(tensor[:count] for tensor in inputs)) for count in (1, 5))
    return max(_parity.compare(model, session, task, some, where) for where, some in (*small, *sized))


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
