"""A teacher's outputs by (example, view) while they are computed, and what a killed stage goes on from."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdbench.files import write_whole
from kdbench.protocols import Batch, Output, TaskDescription
from kdbench.ragged import Ragged, Stored
from kdbench.stages.names import CHECKPOINT

CHECKPOINT_SECONDS = 20.0
"""Seconds between checkpoints, each of the rows that came since the last."""


ROWS = 1 << 16
"""Rows that are copied at once."""


class OutputTable:
    """One row a code (index * view_count + view) for each of a task's outputs."""

    def __init__(self, task: TaskDescription, codes: np.ndarray, folder: Path) -> None:
        """codes: int64 (n,), rising; folder: where checkpoints are kept, and found where a killed stage left some."""
        self._task, self.codes, self._folder = task, codes, folder
        self._there, self._count = np.zeros(len(codes), bool), 0
        self._rows: list[np.ndarray] = []
        """For each output float32 (n, ...), or (n,) of arrays where their lengths vary; none before the first row."""
        self._unsaved: list[np.ndarray] = []
        self._saved_at = time.monotonic()
        for path in self._checkpoints():
            kept = torch.load(path, weights_only=True)
            places = kept.pop("places").numpy()
            self._put(places, [kept[str(number)].numpy() for number in range(len(task.outputs))])

    @property
    def missing(self) -> np.ndarray:
        """The codes without a row, rising."""
        return self.codes[~self._there]

    @property
    def fraction(self) -> float:
        """How much of it is there, 0 to 1."""
        return self._count / max(len(self.codes), 1)

    def places_in(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where other codes, rising, have what is missing here: places in them, and in this table."""
        _, theirs, mine = np.intersect1d(codes, self.codes, assume_unique=True, return_indices=True)
        wanted = ~self._there[mine]
        return theirs[wanted], mine[wanted]

    def take(self, stored: Sequence[np.ndarray], theirs: np.ndarray, mine: np.ndarray) -> None:
        """Fill the rows `mine` with the rows `theirs` of another table's outputs."""
        for start in range(0, len(mine), ROWS):
            here = slice(start, start + ROWS)
            self._put(mine[here], [np.asarray(rows[theirs[here]]) for rows in stored])

    def put(self, codes: np.ndarray, outputs: Sequence[Tensor], batch: Batch) -> None:
        """Fill rows with a teacher's outputs (B, ...); those that are there already, or were not asked for, are left.

        codes: (B,), each once; batch: whose outputs they are, for padding is not kept.
        """
        if not len(self.codes):
            return
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        new = (self.codes[places] == codes) & ~self._there[places]
        if new.any():
            given = zip(self._task.outputs, outputs, strict=True)
            self._put(places[new], [_own_places(output, one, batch)[new] for output, one in given])
            self._unsaved.append(places[new])

    def _put(self, places: np.ndarray, rows: Sequence[np.ndarray]) -> None:
        self._rows = self._rows or [np.empty((len(self.codes), *one.shape[1:]), one.dtype) for one in rows]
        for kept, found in zip(self._rows, rows, strict=True):
            kept[places] = found
        self._there[places] = True
        self._count += len(places)

    def save_now_and_then(self) -> None:
        """Write the rows that came since the last checkpoint, where that is long ago and all have one length."""
        if self._unsaved and not self._task.axes and time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            places = np.concatenate(self._unsaved)
            state: dict[str, Any] = {"places": torch.from_numpy(places)}
            state |= {str(number): torch.from_numpy(rows[places]) for number, rows in enumerate(self._rows)}
            write_whole(self._folder / f"{CHECKPOINT}{len(self._checkpoints()):06d}.pt", partial(torch.save, state))
            self._unsaved, self._saved_at = [], time.monotonic()

    def finished(self) -> list[Stored]:
        """Every output's rows, all of which are there; the checkpoints are removed."""
        for path in self._checkpoints():
            path.unlink()
        return [_together(rows) for rows in self._rows]

    def _checkpoints(self) -> list[Path]:
        return sorted(self._folder.glob(f"{CHECKPOINT}*.pt"))


def _own_places(output: Output, given: Tensor, batch: Batch) -> np.ndarray:
    """Each example's output (B, ...); where lengths vary, without what is padding, (B,) of arrays."""
    lengths, array = output.places(batch.lengths), given.cpu().numpy()
    if lengths is None:
        return array
    rows = np.empty(len(array), object)
    for place, end in enumerate(lengths.tolist()):
        rows[place] = array[place, :end]
    return rows


def _together(rows: np.ndarray) -> Stored:
    if rows.dtype != object:
        return rows
    each = list(rows)
    return np.stack(each) if len({row.shape for row in each}) == 1 else Ragged.of(each)
