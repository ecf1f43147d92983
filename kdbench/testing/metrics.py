"""What every metric must hold to, on answers drawn for each kind of output that it judges."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kdbench.errors import DataError
from kdbench.measure.decisions import decide
from kdbench.protocols import Metric
from kdbench.protocols.data import Output
from kdbench.protocols.metric import FEWEST_EXAMPLES, taken

COUNT, LEFT_OUT = 200, 30
"""Examples that are drawn, and how many of them are left out one by one."""
NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def drawn(metric: Metric, kind: str) -> tuple[Metric, Any, Any]:
    """The metric for an output of a kind, answers of which about three in four are right, and targets."""
    draw, why = np.random.default_rng(0), "none is of what it judges"
    several = _embeddings(draw) if kind == "embedding" else (_drawn(kind, draw, classes) for classes in (4, 2, 8))
    for output, outputs, targets in several:
        try:
            judge = metric.judging(output)
        except DataError as error:
            why = str(error)
            continue
        if (why := judge.undefined(given := _given(judge, outputs), targets) or "") == "":
            return judge, given, targets
    raise AssertionError(f"{metric.name} has no value of drawn answers: {why}.")


def check_values(metric: Metric) -> None:
    """For each kind: a value in its range whatever the order of examples, and pseudo-values whose mean it is."""
    for kind in sorted(metric.kinds):
        _check(*drawn(metric, kind), type(metric).__name__)


def _check(metric: Metric, outputs: Any, targets: Any, name: str) -> None:
    value, each = metric.value(outputs, targets), metric.pseudo_values(outputs, targets)
    low, high = metric.range
    assert low is None or low <= value, f"{name} gives {value}, and its range begins at {low}."
    assert high is None or value <= high, f"{name} gives {value}, and its range ends at {high}."
    order = np.random.default_rng(1).permutation(COUNT)
    again = metric.value(taken(outputs, order), taken(targets, order))
    assert np.isclose(again, value), f"{name} depends on the examples' order."
    assert np.shape(each) == (COUNT,), f"{name} gives pseudo-values of shape {np.shape(each)} for {COUNT} examples."
    assert np.isclose(np.mean(each), value), (
        f"the mean of {name}'s pseudo-values is {np.mean(each)}, its value {value}."
    )
    if metric.counted:
        assert set(np.unique(each)) <= {0.0, 1.0}, f"{name} counts examples, but has pseudo-values other than 0 and 1."
    few = np.arange(FEWEST_EXAMPLES - 1)
    assert metric.counted or metric.few(taken(targets, few)), f"{name} finds {len(few)} examples enough."
    if type(metric).pseudo_values is not Metric.pseudo_values:
        _check_spread(metric, outputs, targets, each, name)


def _check_spread(metric: Metric, outputs: Any, targets: Any, each: Any, name: str) -> None:
    """Against the brute jackknife: one observation left out at a time."""
    units = metric.units(targets)
    own = np.arange(COUNT) if units is None else np.unique(units, return_inverse=True)[1]
    count = int(own.max()) + 1
    some = np.random.default_rng(1).permutation(count)[: LEFT_OUT if units is None else count]
    found = np.bincount(own, each - each.mean())[some] + each.mean()
    rests = [np.flatnonzero(own != place) for place in some]
    without = [metric.value(taken(outputs, rest), taken(targets, rest)) for rest in rests]
    spread = (count - 1) * np.std(without) * COUNT / count
    assert np.isclose(np.std(found), spread, rtol=0.1), (
        f"{name}'s pseudo-values spread by {np.std(found)}, not {spread}."
    )


def _given(metric: Metric, outputs: Any) -> Any:
    return outputs if metric.needs == "outputs" else decide(metric.output.kind, outputs, metric.output.blank)


def _drawn(kind: str, draw: np.random.Generator, classes: int) -> tuple[Output, Any, Any]:
    names = NAMES if kind == "token_classes" else tuple(f"class {place}" for place in range(classes))
    if kind == "values":
        targets = draw.normal(size=(COUNT, 2)).astype(np.float32)
        outputs = 0.8 * targets + draw.normal(size=(COUNT, 2)).astype(np.float32) / 2
        return Output(kind=kind, axes=(2,), unit="MW"), outputs.astype(np.float32), targets
    if kind == "multilabel":
        labels = (draw.random((COUNT, classes)) < 0.3).astype(np.float32)
        outputs = (2 * labels - 1 + draw.normal(size=labels.shape)).astype(np.float32)
        return Output(kind=kind, axes=(classes,), class_names=names), outputs, labels
    if kind == "classes":
        shares = np.arange(classes, 0, -1) / np.arange(classes + 1).sum()
        truth = draw.choice(classes, COUNT, p=shares)
        return Output(axes=(classes,), class_names=names), _logits(draw, truth, classes), truth.astype(np.int32)
    if kind == "dense_classes":
        truth = draw.integers(0, classes, (COUNT, 5, 4))
        outputs = np.moveaxis(_logits(draw, truth, classes), -1, 1)
        truth[draw.random(truth.shape) < 0.1] = 255
        output = Output(kind=kind, axes=(classes, 5, 4), class_names=names, ignore=255)
        return output, outputs, truth.astype(np.int32)
    if kind == "token_classes":
        rows = [draw.integers(0, 5, length) for length in draw.integers(3, 12, COUNT)]
        tokens = [_logits(draw, row, 5) for row in rows]
        return Output(kind=kind, axes=(12, 5), class_names=names, ignore=-1), tokens, rows
    if kind == "sequence":
        symbols = ("", "a", "b", "c", " ")
        rows = [np.append(draw.integers(1, 5, length), 1) for length in draw.integers(3, 12, COUNT)]
        frames = [_logits(draw, np.stack([row, 0 * row], axis=1).ravel(), 5) for row in rows]
        return Output(kind=kind, axes=(24, 5), class_names=symbols), frames, rows
    raise AssertionError(f"no answers can be drawn for an output of kind {kind}; leave it out of `kinds`.")


def _embeddings(draw: np.random.Generator) -> Iterator[tuple[Output, Any, Any]]:
    """For each thing that targets say: places in space of which those that belong together lie nearer."""
    ids = draw.permutation(np.arange(COUNT) // 4)
    places = (draw.normal(size=(COUNT, 8))[ids] + draw.normal(size=(COUNT, 8))).astype(np.float32)
    asks = np.zeros(COUNT, np.int64)
    asks[np.unique(ids, return_index=True)[1]] = 1
    pairs = draw.permutation(np.arange(COUNT) // 2)
    near = draw.random(COUNT // 2)
    twins = np.where(draw.random(COUNT) < near[pairs], 1, -1)[:, None] * draw.normal(size=(COUNT, 8))[pairs]
    for said, outputs, targets in (
        ("ids", places, ids),
        ("queries", places, np.stack([ids, asks], axis=1)),
        ("pairs", twins.astype(np.float32), np.stack([pairs, near[pairs]], axis=1).astype(np.float32)),
    ):
        yield Output(kind="embedding", axes=(8,), targets=said, metrics=("",)), outputs, targets


def _logits(draw: np.random.Generator, truth: Any, classes: int) -> Any:
    """(..., K): a normal noise, and 2 for the true class."""
    noise = draw.normal(size=(*np.shape(truth), classes))
    return (noise + 2 * np.eye(classes)[truth]).astype(np.float32)
