"""The teach stage: a teacher's outputs for the (example, view) pairs that a seed's epochs ask for, computed once."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kdbench.protocols import Batch
from kdbench.protocols.recipe import Precision
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.stages._data import TaskData
from kdbench.stages._output_forms import rows_at
from kdbench.stages._output_table import OutputTable
from kdbench.stages._stored_outputs import StoredTable
from kdbench.stages._teacher import PROBABILITIES_NOTE, load_teacher
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.lockstep import SMALL_BATCH, Place
from kdbench.stages.spec import StageSpec
from kdbench.stages.work import Fact, Work
from kdbench.tasks.arrays import epoch_views
from kdbench.training import computing_in

LIVE_NOTE = (
    "the teacher's outputs for {:,} of {:,} views were stored, as its `stored` lets them take {:g} GiB; for the others "
    "it computes as each student trains."
)
CHUNK = 64
"""Examples in one pass. A ResNet-32x4 took 1.2 (fp32) to 1.7 (bf16) times as long for each in passes of 256, whose maps
do not stay in a processor's cache."""


def teach(work: Work) -> list[Fact]:
    """Store codes and outputs, rising by code.

    Views that other seeds and lengths show, too, are taken from their stages where these are finished. In step with
    students that ask for the same teacher's features, outputs are taken from their passes. Only what these leave is
    computed here. Whatever is taken was compared with what would be computed, on some examples and to the bit.
    """
    teaching = _Teaching(work)
    teaching.take_from_kin()
    teaching.listen()
    work.turn.let_others_end()
    plain_arithmetic()
    teaching.compute_missing()
    return teaching.end()


class _Teaching:
    """A teach stage at work: the outputs that are there, and whence the others come."""

    def __init__(self, work: Work) -> None:
        self._work, self._began = work, work.turn.clock()
        self._data, self._device = TaskData.open(work), torch.device(work.spec.numerics["device"])
        plain_arithmetic()
        settings, self._view_count = work.spec.settings, self._data.declared.views()
        self._precision: Precision = settings.get("precision", "fp32")
        example_count = self._data.arrays.count("train")
        codes = wanted_codes(example_count, self._view_count, work.spec.seed or 0, settings.get("epochs", 0))
        stored = StoredOutputs.from_fields(settings.get("stored", {}))
        kept = codes[: int(stored.gibibytes * 2**30) // stored.row_bytes(self._data.task)]
        self._notes: list[str] = []
        """Sentences that readers of the results should see."""
        if len(kept) < len(codes):
            self._note(LIVE_NOTE.format(len(kept), len(codes), stored.gibibytes))
        self._table = OutputTable(self._data.task, kept, work.out, stored)
        self._teacher = load_teacher(work, self._data, self._device)
        self._taken = 0
        """Outputs that other stages had computed."""
        self._alike: bool | None = None
        """Whether the teacher answers to the bit alike in students' batches and in others; None before the first."""

    def take_from_kin(self) -> None:
        """Take what finished stages have that differ from this one in seed and length only."""
        if self._view_count == 1 or self._data.task.axes:
            return
        for key in self._work.store.kin(_kin(self._work.spec)):
            stored = StoredTable.open(self._work.store.folder(key), self._data.task)
            theirs, mine = self._table.places_in(stored.codes)
            if len(mine) >= SMALL_BATCH and self._agrees(stored, theirs[:CHUNK], mine[:CHUNK]):
                self._table.take(stored, theirs, mine)
                self._taken += len(mine)

    def _agrees(self, stored: StoredTable, theirs: np.ndarray, mine: np.ndarray) -> bool:
        """Whether some stored rows are what is computed here."""
        computed = self._table.packed(self._computed(self._table.codes[mine])[0])
        rows = (rows_at(column, theirs) for columns in stored.columns for column in columns)
        return all(np.array_equal(one, other) for one, other in zip(rows, computed, strict=True))

    def listen(self) -> None:
        """Take outputs from the passes of others in step, where all examples have one length: no padding differs."""
        if self._work.turn.has_others and not self._data.task.axes:
            self._teacher.listen(self._hear)

    def _hear(self, batch: Batch, place: Place, answer: Any) -> None:
        *_, precision = place
        if precision != self._precision or len(batch) < SMALL_BATCH or self._alike is False:
            return
        outputs = self._teacher.told(answer)
        if self._alike is None:
            own = self._teacher.live(batch.part(slice(SMALL_BATCH)))
            self._alike = all(torch.equal(one, all_[:SMALL_BATCH]) for one, all_ in zip(own, outputs, strict=True))
        if self._alike:
            codes = batch.index * self._view_count + batch.view
            self._table.put(codes.cpu().numpy(), outputs, batch)
            self._table.save_now_and_then()
            self._work.progress(self._table.fraction)

    def compute_missing(self) -> None:
        """Compute what is not there."""
        missing = self._table.missing
        for start in range(0, len(missing), CHUNK):
            codes = missing[start : start + CHUNK]
            self._table.put(codes, *self._computed(codes))
            self._table.save_now_and_then()
            self._work.progress(self._table.fraction)

    def _computed(self, codes: np.ndarray) -> tuple[list[torch.Tensor], Batch]:
        """The teacher's outputs for some codes, and their batch; few are filled up, so that they round as others."""
        index, view = np.divmod(np.resize(codes, max(len(codes), SMALL_BATCH)), self._view_count)
        batch = self._data.chosen(index, view, self._device)
        with computing_in(self._precision, self._device):
            answer = self._teacher.live(batch)
        own = slice(len(codes))
        return [output[own] for output in answer], batch.part(own)

    def end(self) -> list[Fact]:
        """Publish what there is."""
        probabilities = bool(self._teacher.gives_probabilities)
        self._table.end(probabilities)
        if probabilities:
            self._note(PROBABILITIES_NOTE)
        wall, cpu = (after - before for after, before in zip(self._work.turn.clock(), self._began, strict=True))
        count = len(self._table.codes) - self._taken
        self._work.store.note_kin(_kin(self._work.spec), self._work.spec.key)
        costs = {"wall_ns": wall, "cpu_ns": cpu, "teacher_forward_count": count}
        return [{"kind": "teaching", **costs, "notes": self._notes}]

    def _note(self, text: str) -> None:
        self._work.log.warning(text)
        self._notes.append(text)


def _kin(spec: StageSpec) -> str:
    """A name for the stages that differ in seed and length only: they ask for the same outputs, each for some views."""
    settings = {name: value for name, value in spec.settings.items() if name != "epochs"}
    return replace(spec, seed=None, settings=settings).key


def wanted_codes(example_count: int, view_count: int, seed: int, epochs: int) -> np.ndarray:
    """index * view_count + view for every pair that so many epochs of a seed visit; rising, each once, int64.

    With one view an example the epochs do not matter.
    """
    index = np.arange(example_count, dtype=np.int64)
    if view_count == 1:
        return index
    visited = [index * view_count + epoch_views(example_count, view_count, seed, epoch) for epoch in range(epochs)]
    return np.unique(np.concatenate(visited))
