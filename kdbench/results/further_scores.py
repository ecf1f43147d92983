"""Adds a metric to a finished run, from its stored predictions: nothing is computed again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import registry
from kdbench.errors import KdbenchError, StoreError, Unreadable
from kdbench.files import read_arrays, write_whole
from kdbench.protocols.metric import Metric, metric_named
from kdbench.ragged import from_entries
from kdbench.results import records
from kdbench.results.folder import Results, read_results
from kdbench.results.predictions import own_key, prefix_of
from kdbench.results.records import Score


@dataclass(frozen=True)
class Added:
    """What was added to a folder."""

    name: str
    """The metric's label."""
    count: int
    """Records."""
    undefined: tuple[str, ...]
    """Why some have no value, once each."""


def add_metric(folder: Path, name: str) -> Added:
    """Score every file of a results folder that it does not judge yet by a metric; write the records behind the others.

    name: registered, or `file.py:Class` from the current folder. Raises KdbenchError where the folder's task or its
    stored predictions do not suffice, or every file is judged already, UnknownName.
    """
    results = read_results(folder)
    metric = registry.resolve("metric", name)() if registry.is_file(name) else metric_named(name)
    judges = _judges(results, metric, folder)
    known = {_place(record) for record in results.of(Score) if record.metric == name}
    scored = (
        score for record in results.scores() for judge in judges for score in _scored(results, record, judge, name)
    )
    found = list(scored)
    made = [score for score in found if _place(score) not in known]
    if not found:
        raise StoreError(f"'{folder}' keeps no predictions to score; run the suite again with -o '{folder}'.")
    if not made:
        raise KdbenchError(f"'{folder}' is judged by {name} already.")
    records.append(folder / "records.jsonl", made)
    reasons = dict.fromkeys(record.undefined for record in made if record.undefined)
    return Added(metric.name, len(made), tuple(reasons))


def _place(record: Score) -> tuple[str, int, str | None, str, str, str]:
    """Which answers a record is about."""
    return record.case, record.seed, record.target, record.key, record.split, record.output


def _judges(results: Results, metric: Metric, folder: Path) -> list[Metric]:
    """The metric for each output of the task that it makes sense for."""
    outputs = results.outputs
    fitting = [metric.judging(output) for output in outputs if output.kind in metric.kinds]
    if not fitting:
        has = ", ".join(f"'{output.name}' of kind {output.kind}" for output in outputs) or "none that the folder tells"
        raise KdbenchError(
            f"{metric.name} judges outputs of kind {', '.join(sorted(metric.kinds))}, and the task of '{folder}' has "
            f"{has}."
        )
    return fitting


def _scored(results: Results, record: Score, metric: Metric, name: str) -> Iterator[Score]:
    """The record beside that of the first metric; nothing where the file kept no predictions at all."""
    path, origin = results.file(record.predictions_path), results.file(record.origin_predictions_path)
    if path is None:
        return
    number = [output.name for output in results.outputs].index(metric.output.name)
    output = metric.output.name if number else ""
    prefix = prefix_of(record.split, output)
    arrays = _arrays(path)
    judged, targets = _judged(arrays, prefix, metric, path), from_entries(arrays, f"{prefix}_targets")
    if targets is None:
        raise StoreError(f"'{path}' has no targets of {prefix}, so {metric.name} cannot be told; run the suite again.")
    reason = metric.undefined(judged, targets)
    before = _judged(_arrays(origin), prefix, metric, origin) if origin and record.origin_value is not None else None
    had = before is not None and metric.undefined(before, targets) is None
    each = None if reason or not metric.counted else metric.pseudo_values(judged, targets)
    if registry.is_file(name) and reason is None:
        _keep(path, arrays, own_key(prefix, name), metric.pseudo_values(judged, targets))
    yield replace(
        record,
        metric=name,
        label=metric.name if registry.is_file(name) else "",
        direction=metric.direction,
        unit="fraction" if metric.unit == "fraction" else metric.unit_name,
        output=output,
        decides=False,
        added=True,
        value=None if reason else metric.value(judged, targets),
        undefined=reason,
        correct_count=None if each is None else int(each.sum()),
        origin_value=metric.value(before, targets) if had else None,
    )


def _judged(arrays: dict[str, Any], prefix: str, metric: Metric, path: Path) -> Any:
    found = from_entries(arrays, prefix if metric.needs == "decisions" else f"{prefix}_outputs")
    if found is None:
        lacks = "decisions" if metric.needs == "decisions" else "outputs themselves, only what they decide"
        raise StoreError(
            f"'{path}' does not keep the {lacks} of {prefix}, and {metric.name} needs them; run the suite again with "
            "this kdbench: what is finished is reused."
        )
    return found


def _arrays(path: Path) -> dict[str, Any]:
    try:
        return read_arrays(path)
    except Unreadable as error:
        raise StoreError(f"'{path}' holds no predictions ({error}); run the suite again.") from None


def _keep(path: Path, arrays: dict[str, Any], key: str, each: NDArray[np.float64]) -> None:
    write_whole(path, partial(_save, {**arrays, key: each}))


def _save(arrays: dict[str, Any], path: Path) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
