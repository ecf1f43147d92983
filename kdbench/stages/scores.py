"""What is said of one split's answers: a score for every metric of every output, and what is kept of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import registry
from kdbench.measure.decisions import agreement, decide
from kdbench.protocols import Metric, Output, TaskDescription
from kdbench.ragged import Ragged, Stored, from_entries
from kdbench.results.predictions import WITH_OUTPUTS, entries, own_key, prefix_of
from kdbench.stages.work import Fact

NOT_TOLD = "the model was not made to tell this output (`outputs` leaves it out)"
"""Why a teacher of other outputs has no score."""
Entries = dict[str, NDArray[Any]]
Metrics = Mapping[str, Metric]
"""Every metric of the task by the name that the task gives it."""


def predictions_of(
    task: TaskDescription, split: str, outputs: Sequence[Stored], targets: Sequence[Stored], metrics: Metrics
) -> Entries:
    """The entries of an .npz for a split (`kdbench.results.predictions`), from each output's answers and targets."""
    found: Entries = {}
    for output, prefix, answers, truth in zip(task.outputs, _prefixes(task, split), outputs, targets, strict=True):
        truth = np.asarray(truth).astype(np.int32) if output.kind == "classes" else truth
        found |= entries(prefix, _decided(output, answers), truth, answers if output.kind in WITH_OUTPUTS else None)
        for name in output.metrics:
            metric = metrics[name].judging(output)
            judged = _judged(found, prefix, metric)
            if registry.is_file(name) and metric.undefined(judged, found[f"{prefix}_targets"]) is None:
                found[own_key(prefix, name)] = metric.pseudo_values(judged, _targets(found, prefix))
    return found


def score_facts(
    task: TaskDescription,
    split: str,
    predictions: Mapping[str, NDArray[Any]],
    metrics: Metrics,
    teacher: Entries | None = None,
    origin: Entries | None = None,
    tells: Sequence[str] = (),
    taught: Sequence[str] = (),
) -> list[Fact]:
    """A fact for each metric of each output, the decisive one first.

    predictions: what `predictions_of` gives. teacher, origin: the same of the teacher's file and of the uncompressed
    student's. tells, taught: the outputs that the file itself, and the teacher's, were made to tell; empty: all. What
    stands in the place of another output is nobody's answer, and has no score.
    """
    others = {role: arrays for role, arrays in (("teacher", teacher), ("origin", origin)) if arrays is not None}
    facts = []
    silent = {output.name for output in task.outputs if tells and output.name not in tells}
    alone = {role: arrays for role, arrays in others.items() if role != "teacher"}
    for number, (output, prefix) in enumerate(zip(task.outputs, _prefixes(task, split), strict=True)):
        for place, name in enumerate(output.metrics):
            fact = _fact(name, metrics[name].judging(output), prefix, predictions, origin, output.name in silent)
            fact |= {"split": split, "decides": number == place == 0, **({"output": output.name} if number else {})}
            fact |= _agreements(output, prefix, predictions, alone if taught and output.name not in taught else others)
            facts.append(fact)
    return facts


def _prefixes(task: TaskDescription, split: str) -> Iterator[str]:
    for number, output in enumerate(task.outputs):
        yield prefix_of(split, output.name if number else "")


def _decided(output: Output, answers: Stored) -> Stored:
    found = decide(output.kind, answers, output.blank)
    return found if isinstance(found, np.ndarray) else Ragged.of(found)


def _judged(arrays: Mapping[str, NDArray[Any]], prefix: str, metric: Metric) -> Any:
    return from_entries(arrays, prefix if metric.needs == "decisions" else f"{prefix}_outputs")


def _targets(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Any:
    return from_entries(arrays, f"{prefix}_targets")


def _fact(
    name: str, metric: Metric, prefix: str, predictions: Mapping[str, Any], origin: Entries | None, is_silent: bool
) -> Fact:
    judged, targets = _judged(predictions, prefix, metric), _targets(predictions, prefix)
    fact: Fact = {
        "kind": "score",
        "metric": name,
        **({"label": metric.name} if registry.is_file(name) else {}),
        "direction": metric.direction,
        "unit": "fraction" if metric.unit == "fraction" else metric.unit_name,
        "example_count": len(targets),
    }
    reason = NOT_TOLD if is_silent else metric.undefined(judged, targets)
    if reason is not None:
        return {**fact, "undefined": reason}
    fact["value"] = metric.value(judged, targets)
    if metric.counted:
        fact["correct_count"] = int(metric.pseudo_values(judged, targets).sum())
    if origin is not None and metric.undefined(before := _judged(origin, prefix, metric), targets) is None:
        fact["origin_value"] = metric.value(before, targets)
    return fact


def _agreements(
    output: Output, prefix: str, predictions: Mapping[str, Any], others: Mapping[str, Entries]
) -> dict[str, float]:
    own = from_entries(predictions, prefix)
    alike = {role: from_entries(arrays, prefix) for role, arrays in others.items()}
    return {
        f"{role}_agreement_fraction": agreement(output.kind, theirs, own)
        for role, theirs in alike.items()
        if theirs is not None and own is not None
    }
