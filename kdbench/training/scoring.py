"""A network's score on a split: the metric that selects and stops, and its value."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
    answers, targets = _Gathered(), _Gathered()
    for batch in batches:
        outputs = F.outputs_of(model(*batch.inputs), model, output_count)[0]
        places = metric.output.places(batch.lengths)
        answers.add(outputs, places)
        true = batch.lengths.get(metric.output.name) if metric.output.kind == "sequence" else places
        targets.add(batch.targets[0], true)
    given, truth = answers.all(), targets.all()
    judged = given if metric.needs == "outputs" else decide(metric.output.kind, given, metric.output.blank)
    reason = metric.undefined(judged, truth)
    worst = metric.range[0 if metric.direction == "higher" else 1]
    value = metric.value(judged, truth) if reason is None else worst
    if value is None or not math.isfinite(value):
        raise TrainingError(f"validation has no {metric.name}: {reason or 'it is not a finite number'}.")
    return float(value)


class _Gathered:
    """The numbers of all batches, in one array that grows.

    Kept batch by batch, they would lie between what each batch takes and gives back: C's allocator then finds no hole
    of a batch's size again, and memory grows with every batch.
    """

    def __init__(self) -> None:
        self._rows: NDArray[Any] | None = None
        self._unequal: list[NDArray[Any]] = []
        self._count = 0

    def add(self, tensor: Tensor, places: Tensor | None) -> None:
        """Put a batch's numbers (B, ...) behind those that are there, without padding where `places` (B,) says it."""
        numbers = tensor.detach().cpu().numpy()
        if places is not None:
            self._unequal += [row[: int(count)] for row, count in zip(numbers, places.tolist(), strict=True)]
            return
        end = self._count + len(numbers)
        if self._rows is None or end > len(self._rows):
            grown = np.empty((2 * end, *numbers.shape[1:]), numbers.dtype)
            grown[: self._count] = 0 if self._rows is None else self._rows[: self._count]
            self._rows = grown
        self._rows[self._count : end] = numbers
        self._count = end

    def all(self) -> Any:
        """(N, ...), or N arrays of unequal length."""
        return self._unequal if self._rows is None else self._rows[: self._count]
