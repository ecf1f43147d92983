"""Cases that are no better than one constant answer, by the task's metric: what `guesses` says of accuracy."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kdbench.evidence.answers import BySeed
from kdbench.evidence.finding import AT_CHANCE, Finding, row_name
from kdbench.protocols.metric import Metric
from kdbench.results.folder import Results

CALLED = {
    "values": "the targets' mean",
    "classes": "the most frequent class",
    "dense_classes": "the most frequent class",
    "multilabel": "the labels that most examples have",
}
"""By kind of output: the answer that needs no model."""


def constant_answers(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
    """Cases and teachers whose mean over seeds is no better than the constant answer's value."""
    constant = _constant(tested)
    if constant is None:
        return
    metric, value = constant
    scale = results.scale
    for name, by_seed in tested.items():
        mean = float(np.mean([one.value for one in by_seed.values()]))
        if metric.loss(value, mean) >= 0:
            always = f"always answering {CALLED[metric.output.kind]} gives {scale.said(value)}"
            said = f"{row_name(results, name)} is no better than a constant answer: {scale.name} {scale.said(mean)}, "
            yield Finding(AT_CHANCE, (name,), target, f"{said}where {always}.", True)


def _constant(tested: Mapping[str, BySeed]) -> tuple[Metric, float] | None:
    """The metric and its value of the constant answer; None where there is none, or it has no value."""
    for by_seed in tested.values():
        for one in by_seed.values():
            found = one.predictions
            if found is None or found.kept is not None:
                continue
            metric = found.metric
            if metric.needs != "decisions" or metric.output.kind not in CALLED:
                return None
            answers = _answers(metric, found.targets)
            if metric.undefined(answers, found.targets) is not None:
                return None
            return metric, metric.value(answers, found.targets)
    return None


def _answers(metric: Metric, targets: Any) -> Any:
    """The same answer to every example, in the targets' shape."""
    truth = np.asarray(targets)
    if metric.output.kind == "values":
        return np.broadcast_to(truth.mean(axis=0), truth.shape)
    if metric.output.kind == "multilabel":
        return np.broadcast_to(truth.mean(axis=0) > 0.5, truth.shape).astype(np.uint8)
    real = truth if metric.output.ignore is None else truth[truth != metric.output.ignore]
    return np.full(truth.shape, np.bincount(real.ravel()).argmax(), np.int32)
