"""Inputs for the measuring program: preprocessed arrays under the model's input names."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.ragged import Index
from kdbench.tasks.arrays import ArrayData, shortest_first
from kdbench.tasks.examples import examples

PIECE_BYTES = 32 * 2**20
"""The most that one file of inputs holds where a split is shared out over several, unless a batch takes more."""


def write_inputs(data: Path, task: TaskDescription, split: str, path: Path, places: Index) -> Path:
    """Write the examples at some places of a split as an .npz; places behind its end begin it again."""
    arrays = ArrayData.open(data, task)
    np.savez(path, **examples(arrays, split, places % arrays.count(split)).entries())
    return path


def shares(data: Path, task: TaskDescription, split: str, batch_size: int) -> list[Index]:
    """A split's places in parts of whole batches whose inputs fit PIECE_BYTES: the batches are those of all.

    Where lengths vary, examples of like lengths go together in a batch, so that parts of several go by length.
    """
    arrays = ArrayData.open(data, task)
    order = shortest_first(arrays, split)
    ends = np.cumsum(_byte_counts(task, arrays.lengths(split), len(order))[order])
    if ends[-1] <= PIECE_BYTES:
        return [np.arange(len(order))]
    parts, start = [], 0
    while start < len(order):
        before = ends[start - 1] if start else 0
        fitting = int(np.searchsorted(ends, before + PIECE_BYTES, "right")) - start
        count = max(1, fitting // batch_size) * batch_size
        parts.append(order[start : start + count])
        start += count
    return parts


def _byte_counts(task: TaskDescription, lengths: Mapping[str, Index], count: int) -> Index:
    """(N,): how many bytes each example's inputs take as a model is given them."""
    found = np.zeros(count, np.int64)
    for one in task.inputs:
        fixed = 4 * prod(axis for axis in one.axes if isinstance(axis, int))
        found += fixed * (lengths[one.symbolic] if one.symbolic is not None else 1)
    return found
