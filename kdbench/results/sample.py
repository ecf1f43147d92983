"""The test examples that a results folder keeps to measure its files again: evenly spaced, as models take them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError, Unreadable
from kdbench.files import read_arrays, sha256_of
from kdbench.measure.inputs import Inputs, inputs_of
from kdbench.ragged import Stored, chosen, from_entries
from kdbench.results.folder import Results
from kdbench.results.task_json import KeptTask


@dataclass(frozen=True)
class Sample:
    """Examples of the test split."""

    path: Path
    """The file of all that are kept."""
    digest: str
    """SHA-256 of that file."""
    inputs: Inputs
    targets: Stored
    """Those of the first output: of classes (N,)."""
    index: NDArray[np.int64]
    """(N,), the examples' places in the split."""
    further: Mapping[str, Stored] = field(default_factory=dict)
    """The targets of the task's other outputs by their names; empty in folders of an older kdbench."""

    def part(self, count: int | None) -> "Sample":
        """Evenly spaced examples of it, `count` of them or all."""
        kept = len(self.index)
        rows = np.linspace(0, kept, kept if count is None else min(kept, count), endpoint=False).astype(np.int64)
        inputs, targets = self.inputs.taken(rows), chosen(self.targets, rows)
        further = {name: chosen(each, rows) for name, each in self.further.items()}
        return Sample(self.path, self.digest, inputs, targets, self.index[rows], further)


def read_sample(results: Results, task: KeptTask) -> Sample:
    """All examples that a results folder keeps. Raises StoreError where there are none, or they are damaged."""
    path = results.file(task.sample_path)
    remedy = f"run the suite again with -o '{results.folder}': what is finished is reused."
    if path is None:
        raise StoreError(f"'{results.folder}' keeps no sample of its inputs; {remedy}")
    try:
        arrays = read_arrays(path)
        digest = sha256_of(path)
    except (OSError, Unreadable) as error:
        raise StoreError(f"the sample '{path}' is damaged ({error}); {remedy}") from None
    fault = _fault(arrays, task)
    if fault is not None:
        raise StoreError(f"the sample '{path}' is damaged ({fault}); {remedy}")
    targets = from_entries(arrays, "targets")
    assert targets is not None
    return Sample(path, digest, inputs_of(arrays, _names(task)), targets, arrays["index"], _further(arrays, task))


def _further(arrays: dict[str, NDArray[Any]], task: KeptTask) -> dict[str, Stored]:
    found = {one.name: from_entries(arrays, f"targets.{one.name}") for one in task.description.outputs[1:]}
    return {name: targets for name, targets in found.items() if targets is not None}


def _names(task: KeptTask) -> list[str]:
    return [one.name for one in task.description.inputs if one.stored]


def _fault(arrays: dict[str, NDArray[Any]], task: KeptTask) -> str | None:
    """What is wrong with the arrays of a sample."""
    names = _names(task)
    lacking = {*names, "targets", "index"} - arrays.keys()
    if lacking:
        return f"it lacks {', '.join(sorted(lacking))}"
    targets, index = from_entries(arrays, "targets"), arrays["index"]
    assert targets is not None
    if index.ndim != 1 or index.dtype.kind != "i":
        return "its index is no whole numbers"
    if task.description.outputs[0].kind == "classes" and (arrays["targets"].ndim, arrays["targets"].dtype.kind) != (
        1,
        "i",
    ):
        return "its targets are no whole numbers"
    try:
        inputs = inputs_of(arrays, names)
    except (ValueError, TypeError, KeyError) as error:
        return f"its inputs do not fit each other: {error}"
    listed = [targets, *_further(arrays, task).values(), *inputs.arrays.values()]
    if not len(index) or any(getattr(each, "ndim", 1) == 0 or len(each) != len(index) for each in listed):
        return "its arrays differ in length, or are empty"
    if index.min() < 0 or index.max() >= task.description.example_counts.get("test", 0):
        return "its index does not lie within the test split"
    if any(arrays[name].dtype.kind not in "fiub" for name in names):
        return "its inputs are no numbers"
    return None
