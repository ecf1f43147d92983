"""A network's score on a split: the metric that selects and stops, and its value."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import TrainingError
from kdbench.measure.decisions import decide
from kdbench.protocols import Batch, TaskDescription
from kdbench.protocols.metric import Metric, metric_named


def decisive_metric(task: TaskDescription, own: Metric | None = None) -> Metric:
    """The first output's first metric, as on the test split; `own`: where it comes from a file of the suite's."""
    output = task.outputs[0]
    return (own or metric_named(output.metrics[0])).judging(output)


@torch.inference_mode()
def score(model: nn.Module, batches: Iterator[Batch], metric: Metric, output_count: int = 1) -> float:
    """A metric of a model's answers to all examples, by the first output; the model is put into eval mode.

    Answers without a value count as the worst that there is. Raises TrainingError where there is no worst, or the value
    is not finite.
    """
    model.eval()
    answers: list[Any] = []
    targets: list[Any] = []
    for batch in batches:
        outputs = F.outputs_of(model(*batch.inputs), model, output_count)[0]
        places = metric.output.places(batch.lengths)
        answers.append(_rows(outputs, places))
        true = batch.lengths.get(metric.output.name) if metric.output.kind == "sequence" else places
        targets.append(_rows(batch.targets[0], true))
    given, truth = _all(answers), _all(targets)
    judged = given if metric.needs == "outputs" else decide(metric.output.kind, given, metric.output.blank)
    reason = metric.undefined(judged, truth)
    worst = metric.range[0 if metric.direction == "higher" else 1]
    value = metric.value(judged, truth) if reason is None else worst
    if value is None or not math.isfinite(value):
        raise TrainingError(f"validation has no {metric.name}: {reason or 'it is not a finite number'}.")
    return float(value)


def _rows(tensor: Tensor, places: Tensor | None) -> Any:
    """A batch's numbers (B, ...), or B arrays without their padding."""
    numbers = tensor.detach().cpu().numpy()
    if places is None:
        return numbers
    return [row[: int(count)] for row, count in zip(numbers, places.tolist(), strict=True)]


def _all(batches: list[Any]) -> Any:
    """All examples' numbers as one array, or as a list of arrays of unequal length."""
    if isinstance(batches[0], list):
        return [row for batch in batches for row in batch]
    return np.concatenate(batches)
