"""Inputs for the measuring program: preprocessed arrays under the model's input names."""

from math import prod
from pathlib import Path

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.ragged import Index
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples

PIECE_BYTES = 128 * 2**20
"""The most that one file of inputs holds where a split is shared out over several, unless a batch takes more."""


def write_inputs(data: Path, task: TaskDescription, split: str, path: Path, places: Index) -> Path:
    """Write the examples at some places of a split as an .npz; places behind its end begin it again."""
    arrays = ArrayData.open(data, task)
    np.savez(path, **examples(arrays, split, places % arrays.count(split)).entries())
    return path


def shares(task: TaskDescription, split: str, batch_size: int) -> list[Index]:
    """A split's places in order, in parts of whole batches whose inputs fit PIECE_BYTES: the batches are those of all.

    Where lengths vary there is one part, because examples of like lengths go together in a batch.
    """
    places = np.arange(task.example_counts[split])
    if task.axes:
        return [places]
    example_bytes = sum(4 * prod(shape) for shape in task.input_shapes)
    count = max(1, PIECE_BYTES // (example_bytes * batch_size)) * batch_size
    return np.split(places, range(count, len(places), count))
