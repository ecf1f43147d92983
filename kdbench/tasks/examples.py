"""A task's examples for whoever runs its files: a network's inputs as arrays, and what a program must know of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from kdbench.errors import DataError
from kdbench.measure.form import Form, Made, OutputForm, Varying
from kdbench.measure.inputs import Inputs
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.protocols.data import NOTHING_VARIES
from kdbench.ragged import Array, Index, Ragged, Stored
from kdbench.tasks.arrays import ArrayData, preprocess_array
from kdbench.tasks.rows import taken
from kdbench.tasks.spool import RaggedSpool, Spool


def examples(data: ArrayData, split: str, index: Index) -> Inputs:
    """Some examples of a split as models take them, preprocessed; not padded."""
    task = data.description
    stored = [one for one in task.inputs if one.stored]
    arrays: dict[str, Stored] = {}
    for one, array in zip(stored, data.inputs(split), strict=True):
        chosen = array.taken(index) if isinstance(array, Ragged) else array[index]
        arrays[one.name] = _preprocessed(chosen, one)
    return Inputs(arrays, form(task))


def form(task: TaskDescription) -> Form:
    """What a program that runs a task's files must know of their inputs and outputs."""
    return Form(
        stored=tuple(one.name for one in task.inputs if one.stored),
        varying={one.name: _varying(one, task) for one in task.inputs if one.stored and one.symbolic},
        made={one.name: Made(one.role, _covered(one), one.dtype) for one in task.inputs if not one.stored},
        outputs=tuple(map(_output, task.outputs)),
    )


def lengths_to_measure(task: TaskDescription, lengths: Sequence[int] | None) -> list[dict[str, int]]:
    """The sizes of the axes that vary at which files are timed: those asked for, else median and longest.

    Of several axes the sizes asked for are the first one's. Where another tells of the same (frames and samples of one
    sound), it gets the size that is as much of it. A size is brought within what the axis takes. Where nothing varies
    there is one entry, empty. Raises DataError where lengths are asked for all the same.
    """
    if not task.axes:
        if lengths:
            raise DataError(NOTHING_VARIES)
        return [{}]
    if lengths:
        first = task.axes[0]
        asked = [{axis.name: axis.within(_as_much(size, first, axis)) for axis in task.axes} for size in lengths]
    else:
        median = {axis.name: axis.within(axis.median) for axis in task.axes}
        asked = [median, {axis.name: axis.within(axis.longest) for axis in task.axes}]
    return [sizes for place, sizes in enumerate(asked) if sizes not in asked[:place]]


def _as_much(size: int, of: SymbolicAxis, on: SymbolicAxis) -> int:
    """So many places of one axis, as places of another that tells of the same thing; the number itself elsewhere."""
    return round(size * of.amount / on.amount) if of.unit and of.unit == on.unit else size


def _varying(one: Input, task: TaskDescription) -> Varying:
    axis = one.symbolic or ""
    place = one.axes.index(axis)
    rest = tuple(int(size) for size in one.axes if size != axis)
    nothing = _preprocessed(Ragged(np.full((1, *rest), one.padding, np.float32), np.array([0, 1])), one)
    assert isinstance(nothing, Ragged)
    return Varying(axis, place, task.axis(axis).multiple, nothing.values[0].tolist())


def _preprocessed(array: Stored, one: Input) -> Stored:
    """Stored examples as a model takes them; those of unequal length as one long example."""
    if not isinstance(array, Ragged):
        return preprocess_array(array, one)
    place = one.axes.index(one.symbolic or "")
    whole: Array = np.moveaxis(array.values[np.newaxis], 1, 1 + place)
    return Ragged(np.moveaxis(preprocess_array(whole, one), 1 + place, 1)[0], array.offsets)


def _covered(one: Input) -> str:
    return one.covers or one.symbolic or ""


def _output(one: Output) -> OutputForm:
    axis = one.frames if one.kind == "sequence" else next((a for a in one.axes if isinstance(a, str)), None)
    return OutputForm(one.name, one.kind, one.blank, axis, one.subsampling if axis else 1)


def own_answers(task: TaskDescription, answers: Sequence[Array], lengths: Mapping[str, Index]) -> list[list[Array]]:
    """[output][example]: a batch's outputs (B, ...) without the places that are padding."""
    found = []
    for output, array in zip(task.outputs, answers, strict=True):
        places = output.places(lengths)
        ends = [None] * len(array) if places is None else places.tolist()
        found.append([row[:end] for row, end in zip(array, ends, strict=True)])
    return found


class Answers:
    """Outputs of a model for a whole split, batch by batch as they come; they lie on disk, without what is padding."""

    def __init__(self, task: TaskDescription, folder: Path) -> None:
        self._task, self._folder = task, folder
        self._spools: list[Spool | RaggedSpool] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        for spool in self._spools:
            spool.__exit__(*error)

    def add(self, answers: Sequence[Array], lengths: Mapping[str, Index]) -> None:
        """Put one batch's answers (B, ...) behind those that are there; lengths: (B,) for each axis that varies."""
        self._spools = self._spools or [
            self._spool(output, array) for output, array in zip(self._task.outputs, answers, strict=True)
        ]
        for spool, own in zip(self._spools, own_answers(self._task, answers, lengths), strict=True):
            spool.add(own)

    def _spool(self, output: Output, first: Array) -> Spool | RaggedSpool:
        if _output(output).axis is None:
            return Spool(self._folder, first.dtype, first.shape[1:])
        return RaggedSpool(self._folder, first.dtype, first.shape[2:])

    def save(self, order: Index, paths: Sequence[Path]) -> None:
        """Write every output to its path, in the split's own order; order: the places in which examples came."""
        for spool, path in zip(self._spools, paths, strict=True):
            taken(spool.mapped(), np.argsort(order)).save(path)
