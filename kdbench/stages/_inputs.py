"""Inputs for the measuring program: preprocessed arrays under the model's input names."""

from pathlib import Path

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples


def write_inputs(data: Path, task: TaskDescription, split: str, path: Path, count: int | None = None) -> Path:
    """Write the first `count` examples of a split (all by default, repeated where there are fewer) as an .npz."""
    arrays = ArrayData.open(data, task)
    places = np.arange(count if count is not None else arrays.count(split)) % arrays.count(split)
    np.savez(path, **examples(arrays, split, places).entries())
    return path
