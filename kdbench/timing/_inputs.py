"""The arrays that a file is timed on: given, or drawn by the shapes in the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import MeasureError


@dataclass(frozen=True)
class Given:
    """Arrays by input name, examples along their first axis, and how many of them a call takes."""

    arrays: dict[str, NDArray[Any]]
    batch_size: int

    def saved(self, folder: Path) -> Path:
        """The .npz that the measuring program reads."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "inputs.npz"
        with path.open("wb") as file:
            np.savez(file, **self.arrays)  # type: ignore[arg-type]  # numpy types only its flag
        return path


def given(inputs: Mapping[str, Any], batch_size: int | None) -> Given:
    """The user's own. Raises MeasureError where they are no examples."""
    arrays = {str(name): np.asarray(values) for name, values in inputs.items()}
    lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise MeasureError("inputs must be arrays with one common length of at least 1 along their first axis.")
    if any(array.dtype.kind == "O" for array in arrays.values()):
        raise MeasureError("inputs must be arrays of numbers; one of them holds Python objects.")
    return Given(arrays, batch_size or lengths.pop())


def drawn(path: Path, batch_size: int | None) -> Given:
    """Random values for every input of a file. Raises MeasureError where it does not say enough of one to draw it."""
    from kdbench.timing.random_inputs import random_inputs

    return Given(*random_inputs(path, batch_size, "give inputs"))
