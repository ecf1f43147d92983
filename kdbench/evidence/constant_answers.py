"""Cases that are no better than one constant answer, by the task's metric: what `guesses` says of accuracy."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
    "token_classes": "the most frequent class",
    "multilabel": "the labels that most examples have",
    "sequence": "nothing",
}
"""By kind of output: the answer that needs no model."""
SHARES = "how frequent classes are"
"""That answer where a metric needs scores."""
DRAWS = 19
"""Embeddings drawn at random that a case must beat all of: chance alone does in 5 of 100 cases."""
LEAST = 1e-7
"""A class that no example has is taken to be this frequent."""


def constant_answers(results: Results, target: str, tested: Mapping[str, BySeed]) -> Iterator[Finding]:
    """Cases and teachers whose mean over seeds is no better than the value of answers that need no model."""
    constant = _constant(tested)
    if constant is None:
        return
    metric, value, named = constant
    scale = results.scale
    for name, by_seed in tested.items():
        mean = float(np.mean([one.value for one in by_seed.values()]))
        if metric.loss(value, mean) >= 0:
            always = f"{named} gives {scale.said(value)}"
            said = f"{row_name(results, name)} is no better than {_kind(metric)}: {scale.name} {scale.said(mean)}, "
            yield Finding(AT_CHANCE, (name,), target, f"{said}where {always}.", True)


def _kind(metric: Metric) -> str:
    return "chance" if metric.output.kind == "embedding" else "a constant answer"


def _constant(tested: Mapping[str, BySeed]) -> tuple[Metric, float, str] | None:
    """The metric, its value of the best answer without a model, and that answer in words; None without a value."""
    found = next((one.predictions for its in tested.values() for one in its.values() if one.predictions), None)
    if found is None or found.kept is not None:
        return None
    metric, targets = found.metric, found.targets
    if metric.output.kind == "embedding":
        return _by_chance(metric, found.decisions, targets, list(tested.values()))
    scores = metric.needs == "outputs"
    if scores and metric.output.kind not in ("classes", "multilabel"):
        return None
    value = _value(metric, _shares(metric, targets) if scores else _answers(metric, targets), targets)
    named = SHARES if scores else CALLED[metric.output.kind]
    return None if value is None else (metric, value, f"always answering {named}")


def _value(metric: Metric, answers: Any, targets: Any) -> float | None:
    return None if metric.undefined(answers, targets) is not None else metric.value(answers, targets)


def _by_chance(
    metric: Metric, decisions: Any, targets: Any, tested: Sequence[BySeed]
) -> tuple[Metric, float, str] | None:
    """The best of embeddings drawn at random; None where every case is far better than the first that is drawn."""
    places = _places(decisions)
    first = _value(metric, one := next(places), targets)
    if first is None:
        return None
    noise = 3 * float(np.std(metric.pseudo_values(one, targets))) / math.sqrt(len(targets))
    means = [float(np.mean([file.value for file in by_seed.values()])) for by_seed in tested]
    if all(metric.loss(first, mean) < -noise for mean in means):
        return None
    drawn = (_value(metric, answers, targets) for answers in places)
    best = min((first, *(value for value in drawn if value is not None)), key=lambda value: metric.loss(1.0, value))
    return metric, best, f"the best of {DRAWS} that answer at random"


def _places(decisions: Any) -> Iterator[Any]:
    """Embeddings drawn at random, as many and as long as those given."""
    draw = np.random.default_rng(0)
    return (draw.normal(size=np.shape(decisions)) for _ in range(DRAWS))


def _shares(metric: Metric, targets: Any) -> Any:
    """The same logits (n, K) for every example: those of how frequent classes or labels are."""
    truth = np.asarray(targets)
    if metric.output.kind == "multilabel":
        shares = np.clip(truth.mean(axis=0), LEAST, 1 - LEAST)
        return np.broadcast_to(np.log(shares / (1 - shares)), truth.shape)
    shares = np.bincount(truth, minlength=metric.output.class_count) / len(truth)
    return np.broadcast_to(np.log(np.maximum(shares, LEAST)), (len(truth), len(shares)))


def _answers(metric: Metric, targets: Any) -> Any:
    """The same answer to every example, in the targets' shape."""
    kind, ignore = metric.output.kind, metric.output.ignore
    if kind == "sequence":
        return [np.zeros(0, np.int32) for _ in range(len(targets))]
    if kind == "token_classes":
        every = np.concatenate([np.asarray(row) for row in targets])
        most = _most(every, ignore)
        return [np.full(len(row), most, np.int32) for row in targets]
    truth = np.asarray(targets)
    if kind == "values":
        return np.broadcast_to(truth.mean(axis=0), truth.shape)
    if kind == "multilabel":
        return np.broadcast_to(truth.mean(axis=0) > 0.5, truth.shape).astype(np.uint8)
    return np.full(truth.shape, _most(truth, ignore), np.int32)


def _most(truth: Any, ignore: int | None) -> int:
    """The most frequent class where it counts."""
    real = truth if ignore is None else truth[truth != ignore]
    return int(np.bincount(real.ravel()).argmax())
