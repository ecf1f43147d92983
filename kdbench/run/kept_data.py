"""task.json of a results folder: the task as declared and decoded, and the test inputs that lie beside it."""

from math import prod
from pathlib import Path

import numpy as np

from kdbench.files import slug
from kdbench.protocols import Task, TaskDescription
from kdbench.ragged import Array, Index, as_entries, chosen
from kdbench.results.task_json import KeptTask
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.spec import StageSpec
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples

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
    """Write an .npz of the test split as stored, before preprocessing: each input (N, ...) by name, and `targets`.

    Those of further outputs are `targets.NAME`. Examples of unequal length lie end to end, with `_offsets` beside them.
    """
    data = ArrayData.open(decoded, description)
    arrays: dict[str, Array] = {}
    stored = (one for one in description.inputs if one.stored)
    for one, examples_of_it in zip(stored, data.inputs("test"), strict=True):
        arrays |= as_entries(one.name, examples_of_it)
    _save(path, arrays | _targets(data))


def write_sample(decoded: Path, description: TaskDescription, path: Path) -> None:
    """Write an .npz of test examples as models take them, evenly spaced over the split: each input (N, ...) by name,

    with the outputs' targets as in `write_test_inputs`, and `index` (N,), int64, the examples' places in the split.
    """
    data = ArrayData.open(decoded, description)
    example_bytes = sum(4 * prod(shape) for shape in description.input_shapes)
    least, most = SAMPLE_EXAMPLES
    count = min(max(least, min(most, SAMPLE_BYTES // example_bytes)), data.count("test"))
    index = np.linspace(0, data.count("test"), count, endpoint=False).astype(np.int64)
    _save(path, {**examples(data, "test", index).entries(), **_targets(data, index), "index": index})


def _targets(data: ArrayData, index: Index | None = None) -> dict[str, Array]:
    """The entries of every output's targets: `targets` of the first, `targets.NAME` of the others."""
    arrays: dict[str, Array] = {}
    for number, (output, targets) in enumerate(zip(data.description.outputs, data.split("test").targets, strict=True)):
        some = targets if index is None else chosen(targets, index)
        arrays |= as_entries(f"targets.{output.name}" if number else "targets", some)
    return arrays


def _save(path: Path, arrays: dict[str, Array]) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy types only its flag
