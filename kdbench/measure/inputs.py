"""The examples a job runs on, cut into batches; it knows no model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError, Unreadable
from kdbench.files import read_arrays
from kdbench.measure.runtimes.contract import Feed

MOST_FEEDS = 8
"""So many distinct batches are rotated: none is answered from a cache (MLPerf's TEST04), and few enough to hold."""


class Inputs:
    """Arrays by input name, each of shape (N, ...)."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self._arrays = arrays
        self.example_count = len(next(iter(arrays.values())))

    def feeds(self, batch_size: int, most: int = MOST_FEEDS) -> list[Feed]:
        """Up to `most` batches that share no example, in the file's order; fewer examples than a batch repeat in it."""
        import numpy

        count = min(most, max(1, self.example_count // batch_size))
        rows = numpy.arange(count * batch_size).reshape(count, batch_size) % self.example_count
        return [{name: numpy.ascontiguousarray(array[row]) for name, array in self._arrays.items()} for row in rows]

    def in_order(self, batch_size: int) -> Iterator[Feed]:
        """Every example once, in the file's order; the last batch may be smaller."""
        for begin in range(0, self.example_count, batch_size):
            yield {name: array[begin : begin + batch_size] for name, array in self._arrays.items()}


def load_inputs(path: str) -> Inputs:
    """The arrays of an .npz. Raises MeasureError where it is none, is empty, or its arrays differ in length."""
    try:
        arrays = read_arrays(Path(path))
    except Unreadable as error:
        raise MeasureError(f"the inputs {path} are not an .npz of plain arrays: {error}.") from None
    lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise MeasureError(f"the arrays of {path} must have one common length of at least 1 along their first axis.")
    return Inputs(arrays)
