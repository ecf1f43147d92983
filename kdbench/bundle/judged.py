"""What a device's files decided, checked against the task and scored by its metrics as the evaluate stage does."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import registry
from kdbench.bundle.answers import Predicted
from kdbench.evidence import Results
from kdbench.protocols import Metric, Output, TaskDescription
from kdbench.protocols.metric import metric_named
from kdbench.ragged import Ragged, Stored
from kdbench.results.predictions import entries, prefix_of, recorded_metric
from kdbench.results.records import Score
from kdbench.results.sample import Sample
from kdbench.stages.scores import NOT_TOLD, score_facts
from kdbench.stages.work import Fact

Entries = dict[str, NDArray[Any]]
"""Those of an .npz of predictions (`kdbench.results.predictions`)."""
SPLIT = "test"
ELSEWHERE = "its code is the suite's own, and does not run when a device's record is merged"


@dataclass(frozen=True)
class Judge:
    """The outputs of a task whose true answers a sample has, and the task's metrics."""

    results: Results
    task: TaskDescription
    """With those outputs alone."""
    sample: Sample

    @classmethod
    def of(cls, results: Results, task: TaskDescription, sample: Sample) -> "Judge":
        """A folder of an older kdbench has the true answers of the first output alone."""
        kept = [output for output in task.outputs[1:] if output.name in sample.further]
        return cls(results, task.model_copy(update={"outputs": (task.outputs[0], *kept)}), sample)

    def targets(self, number: int) -> Stored:
        """The true answers to one output."""
        found = self.sample.further[self.task.outputs[number].name] if number else self.sample.targets
        is_class = self.task.outputs[number].kind == "classes"
        return np.asarray(found).astype(np.int32) if is_class else found

    def fault(self, predicted: Predicted) -> str | None:
        """What is wrong with a file's answers to the sample; None where nothing is. Raises Unreadable."""
        if len(predicted.outputs) < len(self.task.outputs):
            return "did not answer every output"
        for number, output in enumerate(self.task.outputs):
            decisions, numbers = predicted.decisions(number), predicted.numbers(number)
            if decisions is None or not _fits(output, decisions, self.targets(number)):
                return "did not answer every example as the task asks"
            shape = (len(decisions), output.width)
            if numbers is not None and not (_is_sound(numbers, "f") and numbers.shape == shape):
                return "gives no finite numbers for every example"
        return None

    def predictions(self, predicted: Predicted) -> Entries:
        """What is kept of a file's answers."""
        found: Entries = {}
        for number, output in enumerate(self.task.outputs):
            prefix = prefix_of(SPLIT, output.name if number else "")
            found |= entries(prefix, predicted.decisions(number), self.targets(number), predicted.numbers(number))
        return found

    def facts(self, case: str, own: Entries, teacher: Entries | None, origin: Entries | None) -> list[Fact]:
        """A fact for each metric of each output of a case's file, the decisive one first."""
        tells, taught = (self._told(row) for row in (case, self.results.teacher_of(case)))
        both = {"teacher": teacher, "origin": origin}
        return score_facts(self.task, SPLIT, own, self._metrics, **both, tells=tells, taught=taught)

    def _told(self, row: str | None) -> tuple[str, ...]:
        """The outputs that a row's file was made to tell, as its records here say; empty where these are all."""
        silent = {score.output for score in self.results.of(Score, row) if row and score.undefined == NOT_TOLD}
        named = {output.name: output.name if number else "" for number, output in enumerate(self.task.outputs)}
        return tuple(name for name, recorded in named.items() if recorded not in silent) if silent else ()

    @cached_property
    def _metrics(self) -> Mapping[str, Metric]:
        return {name: self._metric(name) for output in self.task.outputs for name in output.metrics}

    def _metric(self, name: str) -> Metric:
        """The metric; of a suite's own file what its records say of it."""
        if not registry.is_file(name):
            return metric_named(name)
        record = next(score for score in self.results.of(Score) if score.metric == name)
        told = {"undefined": lambda metric, outputs, targets: ELSEWHERE, "__module__": __name__}
        made: Metric = type("Elsewhere", (type(recorded_metric(record)),), told)()
        return made


def _fits(output: Output, decisions: Stored, targets: Stored) -> bool:
    """Whether decisions are of their kind's type and range, one for each example of the sample."""
    values = decisions.values if isinstance(decisions, Ragged) else decisions
    if len(decisions) != len(targets) or isinstance(decisions, Ragged) != (output.kind in RAGGED):
        return False
    if isinstance(decisions, Ragged) and not _whole(decisions):
        return False
    if output.kind in ("values", "embedding"):
        return _is_sound(values, "f") and values.ndim == 2 and values.shape[1] == output.width
    most = 2 if output.kind == "multilabel" else output.width
    if not _is_sound(values, "iu") or values.min(initial=0) < 0 or values.max(initial=0) >= most:
        return False
    if output.kind == "sequence":
        return values.ndim == 1
    if isinstance(decisions, Ragged):
        return values.ndim == 1 and isinstance(targets, Ragged) and np.array_equal(decisions.offsets, targets.offsets)
    return bool(values.shape == np.shape(targets))


RAGGED = ("token_classes", "sequence")
"""Kinds whose decisions are rows of unequal length."""


def _whole(rows: Ragged) -> bool:
    """Whether offsets lie within the values, in order."""
    offsets = rows.offsets
    return bool(
        offsets.ndim == 1 and offsets.dtype.kind == "i" and offsets[0] == 0 and offsets[-1] == len(rows.values)
        and (np.diff(offsets) >= 0).all()
    )  # fmt: skip


def _is_sound(array: Any, kinds: str) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in kinds and bool(np.isfinite(array).all())
