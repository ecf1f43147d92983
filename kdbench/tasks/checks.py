"""Whether decoded arrays are what a task's description says. Knows numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdbench.errors import DataError
from kdbench.protocols import Output, TaskDescription
from kdbench.ragged import Array, Ragged
from kdbench.tasks.rows import pieces_of

if TYPE_CHECKING:
    from kdbench.ragged import Stored
    from kdbench.tasks.arrays import Split

MOST_PAIRS = 2**24
"""Pairs' numbers are float32, which holds every whole number below it."""
MEND = "mend the task's decode()."


def check_shapes(arrays: Split, split: str, description: TaskDescription) -> None:
    """Raises DataError where inputs have other shapes or counts than the description says."""
    stored = [one for one in description.inputs if one.stored]
    wanted = [_wanted_shape(description.example_counts[split], one.axes) for one in stored]
    found = [_shape(array) for array in arrays.inputs]
    if found != wanted:
        raise DataError(f"the {split} arrays have shapes {found}, the task described {wanted}; {MEND}")


def check_targets(arrays: Split, split: str, description: TaskDescription) -> None:
    """Raises DataError where targets are not what their output's kind has."""
    for output, array in zip(description.outputs, arrays.targets, strict=True):
        _check_targets(output, array, split, description)


def _wanted_shape(count: int, axes: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A stored array's shape: what varies ("*") lies first behind the count."""
    varying = tuple("*" for axis in axes if isinstance(axis, str))
    return (count, *varying, *(axis for axis in axes if not isinstance(axis, str)))


def _shape(array: Stored) -> tuple[int | str, ...]:
    return (len(array), "*", *array.shape) if isinstance(array, Ragged) else tuple(array.shape)


def _check_targets(output: Output, stored: Stored, split: str, description: TaskDescription) -> None:
    values = stored.values if isinstance(stored, Ragged) else stored
    named = f"the {split} targets" if len(description.outputs) == 1 else f"the {split} targets of '{output.name}'"
    if output.kind == "values":
        _check_numbers(values, named, (len(stored), *output.axes))
    elif output.kind == "multilabel":
        _check_numbers(values, named, (len(stored), *output.axes))
        if not np.isin(values, (0, 1)).all():
            raise DataError(f"{named} must be 0 or 1 for each of the {output.class_count} labels; {MEND}")
    elif output.kind == "embedding":
        _check_relations(values, named, output)
    else:
        _check_classes(values, named, output)


def _check_numbers(values: Array, named: str, shape: tuple[int | str, ...]) -> None:
    if values.shape != shape:
        raise DataError(f"{named} have shape {values.shape}, and {shape} was expected; {MEND}")
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise DataError(f"{named} must be finite numbers; leave out examples without a target.")


def _check_relations(values: Array, named: str, output: Output) -> None:
    """Raises DataError where targets of an embedding are not what `Output.targets` says."""
    _check_numbers(values, named, (len(values),) if output.targets == "ids" else (len(values), 2))
    ids = values if output.targets == "ids" else values[:, 0]
    if (ids != np.floor(ids)).any():
        raise DataError(f"{named} must have whole numbers where they say what belongs together; {MEND}")
    if output.targets == "queries" and not np.isin(values[:, 1], (0, 1)).all():
        raise DataError(f"{named} must say 1 for a query and 0 for a document; {MEND}")
    if output.targets != "pairs":
        return
    if ids.max(initial=0) >= MOST_PAIRS or ids.min(initial=0) < 0:
        raise DataError(f"{named} must number pairs from 0 to {MOST_PAIRS - 1}; {MEND}")
    numbers, counts = np.unique(ids, return_counts=True)
    if (counts != 2).any():
        odd = np.flatnonzero(counts != 2)[0]
        raise DataError(
            f"{named} have {counts[odd]} examples of pair {int(numbers[odd])}, and a pair has two in one split; {MEND}"
        )
    one, other = values[np.argsort(ids, kind="stable"), 1].reshape(-1, 2).T
    if (one != other).any():
        odd = np.flatnonzero(one != other)[0]
        raise DataError(f"{named} give the two examples of pair {int(numbers[odd])} different scores; {MEND}")


def _check_classes(values: Array, named: str, output: Output) -> None:
    if output.kind == "classes" and values.ndim != 1:
        raise DataError(f"{named} have shape {values.shape}, and one class an example was expected: (N,).")
    if values.dtype.kind not in "biuf" or not are_whole(values):
        odd = (value for value in values.ravel().tolist() if not isinstance(value, float) or not value.is_integer())
        raise DataError(
            f"{named} must be classes, whole numbers from 0, and one is {next(odd)!r}; number the classes, or declare "
            "an output of kind values where numbers are to be predicted."
        )
    for piece in pieces_of(values):
        counted = piece if output.ignore is None else piece[piece != output.ignore]
        if counted.min(initial=0) < 0 or counted.max(initial=0) >= output.class_count:
            raise DataError(f"{named} must be 0 to {output.class_count - 1}; {MEND}")


def are_whole(values: Array) -> bool:
    """Whether all are whole numbers."""
    return values.dtype.kind != "f" or all(
        bool((np.isfinite(piece) & (piece == np.floor(piece))).all()) for piece in pieces_of(values)
    )
