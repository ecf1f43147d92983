"""Stored predictions of a results folder: what one file answered on one split, example by example, checked as read."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import StoreError, Unreadable
from kdbench.files import read_arrays
from kdbench.protocols.metric import Metric

REMEDY = "remove it and run the suite again: what is finished is reused."


@dataclass(frozen=True)
class Predictions:
    """The answers of one file to the examples of a split, beside the true classes."""

    path: Path
    outputs: NDArray[np.int32]
    """(n,), the class with the highest output."""
    targets: NDArray[np.int32]
    """(n,), the true class."""
    metric: Metric
    """The metric of the task that they are judged by."""

    @cached_property
    def pseudo_values(self) -> NDArray[np.float64]:
        """(n,), one number an example, whose mean is the metric's value."""
        return self.metric.pseudo_values(self.outputs, self.targets)

    @cached_property
    def examples(self) -> str:
        """A digest of the true classes: as far as those tell, equal for the same examples in the same order."""
        return hashlib.sha256(np.ascontiguousarray(self.targets, np.int32).tobytes()).hexdigest()

    @cached_property
    def value(self) -> float:
        """The metric over all examples."""
        return self.metric.value(self.outputs, self.targets)

    def check(self, value: float | None, count: int, whose: str) -> None:
        """Raise StoreError where these are not what a record was made from: those of another file, row or split."""
        if len(self.targets) != count:
            raise StoreError(
                f"'{self.path}' has {len(self.targets):,} examples, and the record of {whose} {count:,}; {REMEDY}"
            )
        if value is not None and abs(self.value - value) > 1e-9:
            raise StoreError(
                f"'{self.path}' is not what {whose} was recorded with: its predictions give {self.value:.4f}, the "
                f"record says {value:.4f}; {REMEDY}"
            )


def read_predictions(path: Path, split: str, metric: Metric, class_count: int) -> Predictions | None:
    """The predictions of a split in an .npz; None where it holds none of that split. Raises StoreError.

    class_count: how many classes the task has; 0 where nothing says it.
    """
    try:
        arrays = read_arrays(path)
    except Unreadable as error:
        raise StoreError(f"'{path}' holds no predictions ({error}); {REMEDY}") from None
    if split not in arrays or f"{split}_targets" not in arrays:
        return None
    outputs, targets = (_classes(path, arrays[name]) for name in (split, f"{split}_targets"))
    if outputs.shape != targets.shape:
        raise StoreError(f"'{path}' has {len(outputs):,} predictions of {len(targets):,} {split} examples; {REMEDY}")
    named = int(max(outputs.max(), targets.max()))
    if class_count and named >= class_count:
        raise StoreError(f"'{path}' names class {named}, and the task has {class_count} classes from 0; {REMEDY}")
    return Predictions(path, outputs, targets, metric)


def _classes(path: Path, array: NDArray[Any]) -> NDArray[np.int32]:
    """Whole numbers (n,), at least one. Raises StoreError."""
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array) or array.min() < 0:
        raise StoreError(f"'{path}' holds {array.dtype} of shape {array.shape}, not a class an example; {REMEDY}")
    return array.astype(np.int32)
