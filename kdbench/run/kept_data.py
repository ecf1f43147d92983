"""task.json of a results folder: the task as declared and decoded, and the test inputs that lie beside it."""

from math import prod
from pathlib import Path

import numpy as np

from kdbench.files import slug
from kdbench.protocols import Task, TaskDescription
from kdbench.results.task_json import KeptTask
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.spec import StageSpec
from kdbench.tasks.arrays import ArrayData, gathered, model_inputs

SAMPLE_BYTES = 16 * 2**20
"""The size of a sample's preprocessed inputs, at most. A sample goes with its folder, so that files can be timed and
checked again anywhere."""
SAMPLE_EXAMPLES = (8, 1000)
"""The fewest and the most examples of a sample."""


def kept_task(spec: StageSpec, decoded: Path) -> KeptTask:
    """The task of a finished decode stage."""
    task: Task = spec.parts["task"].build()
    form = task.image_form()
    description = TaskDescription.model_validate_json((decoded / DESCRIPTION).read_text(encoding="utf-8"))
    return KeptTask(
        name=spec.parts["task"].name,
        data_key=spec.key,
        description=description,
        companion_paths={name: f"inputs/{spec.key[:8]}/{slug(name)}" for name in description.companions},
        image_form=form,
        origin=task.data_origin(),
        test_inputs_path=None if form else f"inputs/test-{spec.key[:8]}.npz",
        sample_path=f"inputs/sample-{spec.key[:8]}.npz",
    )


def write_test_inputs(decoded: Path, description: TaskDescription, path: Path) -> None:
    """Write an .npz of the test split as stored, before preprocessing: each input (N, ...) by name, and `targets`."""
    data = ArrayData.open(decoded, description)
    stored, _ = gathered(data, "test", np.arange(data.count("test")))
    names = [one.name for one in description.inputs if one.stored]
    arrays = dict(zip(names, stored, strict=True))
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays, targets=data.targets("test"))  # type: ignore[arg-type]  # its flag only


def write_sample(decoded: Path, description: TaskDescription, path: Path) -> None:
    """Write an .npz of test examples as models take them, evenly spaced over the split: each input float32 (N, ...)

    by name, with `targets` and `index` (N,), int64, the examples' places in the split.
    """
    data = ArrayData.open(decoded, description)
    example_bytes = sum(4 * prod(shape) for shape in description.input_shapes)
    least, most = SAMPLE_EXAMPLES
    count = min(max(least, min(most, SAMPLE_BYTES // example_bytes)), data.count("test"))
    index = np.linspace(0, data.count("test"), count, endpoint=False).astype(np.int64)
    arrays = model_inputs(description, *gathered(data, "test", index))
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays, targets=np.asarray(data.targets("test"))[index], index=index)  # type: ignore[arg-type]
