"""The convert stage: a file becomes what another runtime reads, in the interpreter that has the converter."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.files import sha256_of
from kdbench.measure.carried import declared
from kdbench.measure.client import Client
from kdbench.protocols import TaskDescription, Technique
from kdbench.ragged import Ragged
from kdbench.stages.names import CONVERSION, MODEL
from kdbench.stages.work import Fact, Work, read_description
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples, lengths_to_measure

SPLITS = ("train", "validation", "test")


def convert(work: Work) -> list[Fact]:
    """Write the model in the runtime's form, and what is known of it. Raises MeasureError where it cannot be made."""
    wall, cpu = work.turn.clock()
    settings = work.spec.settings
    technique: Technique | None = work.part("technique") if "technique" in work.spec.parts else None
    runtime = declared(settings["session"].get("runtime"), settings["session"]["provider"])
    source = work.input("model") / f"{MODEL}.{runtime.made_from}"
    task = read_description(work.input("data"))
    data = ArrayData.open(work.input("data"), task)
    with tempfile.TemporaryDirectory(dir=work.out) as scratch:
        folder = Path(scratch)
        count = max(*settings["batch_sizes"], getattr(technique, "samples", 1))
        inputs = _spread(data, count, folder / "inputs.npz")
        made = Client(folder, settings["session"], settings["converter"]).convert(
            {sha256_of(source): source},
            inputs,
            settings["batch_sizes"],
            longest(data, task, settings["lengths"]),
            technique.to_fields() if technique else {},
            folder / "made",
        )
        (folder / "made" / made.path).replace(work.out / f"{MODEL}.{runtime.artefact}")
    facts = {name: value for name, value in vars(made).items() if name != "path"}
    (work.out / CONVERSION).write_text(json.dumps({"artefact": runtime.artefact, **facts}), encoding="utf-8")
    if technique is None:
        return []
    wall_after, cpu_after = work.turn.clock()
    cost = {"wall_ns": wall_after - wall, "cpu_ns": cpu_after - cpu}
    name = work.spec.parts["technique"].name
    return [{"kind": "compression", "technique": name, "fields": technique.to_fields(), **cost, "notes": made.notes}]


def longest(data: ArrayData, task: TaskDescription, lengths: list[int] | None) -> dict[str, int]:
    """For each axis that varies, the largest size that the file will be asked for: an example's, or one to time at."""
    found = {axis.name: 1 for axis in task.axes}
    for split in filter(task.example_counts.get, SPLITS):
        stored = (one for one in task.inputs if one.stored)
        for one, array in zip(stored, data.inputs(split), strict=True):
            if isinstance(array, Ragged) and one.symbolic:
                found[one.symbolic] = max(found[one.symbolic], int(array.lengths.max(initial=1)))
    for asked in lengths_to_measure(task, lengths):
        found = {name: max(size, asked[name]) for name, size in found.items()}
    return {axis.name: axis.within(found[axis.name]) for axis in task.axes}


def _spread(data: ArrayData, count: int, path: Path) -> Path:
    """Write so many training examples as an .npz, evenly over the split: neighbours often are of one class."""
    held = data.count("train")
    places = np.linspace(0, held - 1, min(count, held)).round().astype(np.int64)
    entries: dict[str, Any] = examples(data, "train", places).entries()
    np.savez(path, **entries)
    return path
