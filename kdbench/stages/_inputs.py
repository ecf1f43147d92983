"""Inputs for the measuring program: preprocessed arrays under the model's input names."""

from pathlib import Path

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData, gathered, model_inputs


def write_inputs(data: Path, task: TaskDescription, split: str, path: Path, count: int | None = None) -> Path:
    """Write the first `count` examples of a split (all by default, repeated where there are fewer) as an .npz."""
    arrays = ArrayData.open(data, task)
    places = np.arange(count if count is not None else arrays.count(split)) % arrays.count(split)
    np.savez(path, **model_inputs(task, *gathered(arrays, split, places)))  # type: ignore[arg-type]
    return path
