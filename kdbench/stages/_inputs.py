"""Inputs for the measuring program: preprocessed float32 arrays under the model's input names."""

from pathlib import Path

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData, preprocess_array


def write_inputs(data: Path, task: TaskDescription, split: str, path: Path, count: int | None = None) -> Path:
    """Write the first `count` examples of a split (all by default, repeated where there are fewer) as an .npz."""
    arrays = ArrayData.open(data, task).inputs(split)
    places = np.arange(count if count is not None else len(arrays[0])) % len(arrays[0])
    prepared = (preprocess_array(array[places], task.preprocessing) for array in arrays)
    np.savez(path, **dict(zip(task.input_names, prepared, strict=True)))  # type: ignore[arg-type]
    return path
