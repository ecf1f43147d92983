"""The test examples that a results folder keeps and a bundle carries: evenly spaced, as models take them."""

import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError
from kdbench.evidence import Results
from kdbench.files import sha256_of
from kdbench.results.task_json import KeptTask


@dataclass(frozen=True)
class Sample:
    """Examples of the test split."""

    digest: str
    """SHA-256 of the file of all that are kept."""
    inputs: dict[str, NDArray[np.float32]]
    """By input name, (N, ...)."""
    targets: NDArray[np.int64]
    index: NDArray[np.int64]
    """Places in the split."""

    def part(self, count: int | None) -> "Sample":
        """Evenly spaced examples of it, `count` of them or all."""
        kept = len(self.index)
        rows = np.linspace(0, kept, kept if count is None else min(kept, count), endpoint=False).astype(np.int64)
        inputs = {name: np.ascontiguousarray(array[rows]) for name, array in self.inputs.items()}
        return Sample(self.digest, inputs, self.targets[rows], self.index[rows])


def kept_sample(results: Results, task: KeptTask) -> Sample:
    """All that is kept. Raises StoreError where there is none, or it is damaged."""
    path = results.file(task.sample_path)
    if path is None:
        raise StoreError(f"'{results.folder}' keeps no sample of its inputs; run the suite again with -o to keep one.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        return Sample(sha256_of(path), {n: a for n, a in found.items() if n not in ("targets", "index")},
                      found["targets"], found["index"])  # fmt: skip
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"'{path}' is no sample of inputs ({error}); remove it and run the suite again.") from None
