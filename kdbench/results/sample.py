"""The test examples that a results folder keeps to measure its files again: evenly spaced, as models take them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError, Unreadable
from kdbench.files import read_arrays, sha256_of
from kdbench.results.folder import Results
from kdbench.results.task_json import KeptTask


@dataclass(frozen=True)
class Sample:
    """Examples of the test split."""

    path: Path
    """The file of all that are kept."""
    digest: str
    """SHA-256 of that file."""
    inputs: dict[str, NDArray[np.float32]]
    """By input name, (N, ...)."""
    targets: NDArray[np.int64]
    """(N,), the true classes."""
    index: NDArray[np.int64]
    """(N,), the examples' places in the split."""

    def part(self, count: int | None) -> "Sample":
        """Evenly spaced examples of it, `count` of them or all."""
        kept = len(self.index)
        rows = np.linspace(0, kept, kept if count is None else min(kept, count), endpoint=False).astype(np.int64)
        inputs = {name: np.ascontiguousarray(array[rows]) for name, array in self.inputs.items()}
        return Sample(self.path, self.digest, inputs, self.targets[rows], self.index[rows])


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
    inputs = {name: arrays[name] for name in task.description.input_names}
    return Sample(path, digest, inputs, arrays["targets"], arrays["index"])


def _fault(arrays: dict[str, NDArray[Any]], task: KeptTask) -> str | None:
    """What is wrong with the arrays of a sample."""
    names = task.description.input_names
    lacking = {*names, "targets", "index"} - arrays.keys()
    if lacking:
        return f"it lacks {', '.join(sorted(lacking))}"
    targets, index = arrays["targets"], arrays["index"]
    if any(array.ndim != 1 or array.dtype.kind != "i" for array in (targets, index)):
        return "its targets and index are no whole numbers"
    if not len(index) or any(array.ndim == 0 or len(array) != len(index) for array in arrays.values()):
        return "its arrays differ in length, or are empty"
    if index.min() < 0 or index.max() >= task.description.example_counts.get("test", 0):
        return "its index does not lie within the test split"
    if any(arrays[name].dtype.kind not in "fiub" for name in names):
        return "its inputs are no numbers"
    return None
