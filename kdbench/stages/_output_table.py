"""A teacher's outputs by (example, view) while they are computed: on disk, where a killed stage goes on from them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from kdbench.protocols import Batch, Output, TaskDescription
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.ragged import Array, Index
from kdbench.stages._output_forms import forms_of
from kdbench.stages._row_files import FixedRows, VaryingRows, save_whole, unfinished
from kdbench.stages._stored_outputs import CODES, FORM, PROBABILITIES, StoredTable, files
from kdbench.stages.names import CHECKPOINT

CHECKPOINT_SECONDS = 20.0
"""Seconds between checkpoints, each of which says what rows the files hold."""
ROWS = 1 << 16
"""Rows that are copied at once."""


class OutputTable:
    """One row a code (index * view_count + view) for each of a task's outputs."""

    def __init__(self, task: TaskDescription, codes: Index, folder: Path, stored: StoredOutputs) -> None:
        """codes: int64 (n,), rising; folder: where the rows are written, and found where a killed stage left some.

        Raises TechniqueError where the form that `stored` names does not fit the task's outputs.
        """
        self.codes, self._folder, self._stored = codes, folder, stored
        self._forms = forms_of(task, stored)
        self._files: list[FixedRows | VaryingRows] = []
        """One for each array that the forms have; none before the first row."""
        self._paths = [path for number, form in enumerate(self._forms) for path in files(folder, form, number)]
        self._kept = folder / f"{CHECKPOINT}rows.npy"
        goes_on = all(path.exists() for path in (self._kept, *map(unfinished, self._paths)))
        self._there = np.load(self._kept) if goes_on else np.zeros(len(codes), bool)
        self._done = self._count = int(self._there.sum())
        self._saved_at, self._saved_count = time.monotonic(), self._count

    @property
    def missing(self) -> Index:
        """The codes without a row, rising."""
        codes: Index = self.codes[~self._there]
        return codes

    @property
    def fraction(self) -> float:
        """How much of it is there, 0 to 1."""
        return self._count / max(len(self.codes), 1)

    def packed(self, outputs: Sequence[Tensor]) -> list[Array]:
        """What is stored of a teacher's outputs (B, ...): the arrays of every output."""
        return [array for form, one in zip(self._forms, outputs, strict=True) for array in form.packed(one)]

    def places_in(self, codes: Index) -> tuple[Array, Array]:
        """Where other codes, rising, have what is missing here: places in them, and in this table."""
        _, theirs, mine = np.intersect1d(codes, self.codes, assume_unique=True, return_indices=True)
        wanted = ~self._there[mine]
        return theirs[wanted], mine[wanted]

    def take(self, table: StoredTable, theirs: Array, mine: Array) -> None:
        """Fill the rows `mine` with the rows `theirs` of a table of the same form, where no length varies."""
        columns = [np.asarray(column) for columns in table.columns for column in columns]
        for start in range(0, len(mine), ROWS):
            here = slice(start, start + ROWS)
            self._put(mine[here], [column[theirs[here]] for column in columns])

    def put(self, codes: Index, outputs: Sequence[Tensor], batch: Batch) -> None:
        """Fill rows with a teacher's outputs (B, ...); those that are there already, or were not asked for, are left.

        codes: (B,), each once; batch: whose outputs they are, for padding is not kept. Raises OSError on a full disk.
        """
        if not len(self.codes):
            return
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        new = (self.codes[places] == codes) & ~self._there[places]
        if new.any():
            order = np.flatnonzero(new)[np.argsort(places[new])]
            arrays = [
                _own_places(form.output, array, batch)[order]
                for form, output in zip(self._forms, outputs, strict=True)
                for array in form.packed(output)
            ]
            self._put(places[order], arrays)

    def _put(self, places: Array, arrays: list[Array]) -> None:
        self._files = self._files or self._opened(arrays)
        for file, rows in zip(self._files, arrays, strict=True):
            file.put(places, rows)
        self._there[places] = True
        self._count += len(places)

    def _opened(self, arrays: list[Array]) -> list[FixedRows | VaryingRows]:
        return [
            VaryingRows(path, first, self._done) if first.dtype == object else FixedRows(path, first)
            for path, first in zip(self._paths, arrays, strict=True)
        ]

    def save_now_and_then(self) -> None:
        """Note what rows there are, where rows came and the last checkpoint is long ago."""
        if self._count > self._saved_count and time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            for file in self._files:
                file.flush()
            save_whole(self._kept, self._there)
            self._saved_at, self._saved_count = time.monotonic(), self._count

    def end(self, probabilities: bool) -> None:
        """Make the files whole, as every row is there. probabilities: whether the teacher gave probabilities."""
        for file in self._files:
            file.end(len(self.codes))
        np.save(self._folder / CODES, self.codes)
        fields = self._stored.model_dump(exclude_defaults=True, exclude={"gibibytes"})
        if fields:
            (self._folder / FORM).write_text(json.dumps(fields), encoding="utf-8")
        if probabilities:
            (self._folder / PROBABILITIES).touch()
        self._kept.unlink(missing_ok=True)


def _own_places(output: Output, array: Array, batch: Batch) -> Array:
    """Each example's own part of an output (B, ...); where lengths vary, without what is padding, (B,) of arrays."""
    lengths = output.places(batch.lengths)
    if lengths is None:
        return array
    rows = np.empty(len(array), object)
    for place, end in enumerate(lengths.tolist()):
        rows[place] = array[place, :end]
    return rows
