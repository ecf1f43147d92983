"""Targets of one's own arrays, by the kind of their output: read, numbered, checked, described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.errors import nearest
from kdbench.protocols import Output
from kdbench.ragged import Array, Index, Ragged, Stored
from kdbench.tasks.array_sources import Source
from kdbench.tasks.checks import are_whole
from kdbench.tasks.rows import RaggedRows, Rows, pieces_of, taken

if TYPE_CHECKING:
    from kdbench.tasks.array_files import ArrayFiles, ArrayOutput

DIMENSIONS = {
    "classes": "(N,)",
    "multilabel": "(N, labels)",
    "values": "(N,) or (N, numbers)",
    "dense_classes": "(N, height, width)",
    "ids": "(N,)",
    "queries": "(N, 2): ids, and 1 for a query or 0 for a document",
    "pairs": "(N, 2): numbers of pairs, and scores",
}
"""Kind of output, or what the targets of an embedding say -> the shape of its targets."""
SHOWN = 3
"""Texts that a message names."""


@dataclass(frozen=True)
class Targets:
    """The targets of one source, as read."""

    source: Source
    said: Mapping[str, ArrayOutput]
    arrays: Mapping[str, Stored]

    @property
    def count(self) -> int:
        return len(next(iter(self.arrays.values())))

    def classes(self) -> Array | None:
        """What is shared out in equal proportions: the targets of the first output of classes."""
        for name, one in self.said.items():
            array = self.arrays[name]
            if one.kind == "classes" and isinstance(array, np.ndarray):
                return array
        return None

    def together(self) -> Array | None:
        """What stays in one split unless a task says otherwise: pairs, and queries with their documents, by number."""
        torn = (self.arrays[name] for name, one in self.said.items() if one.targets in ("pairs", "queries"))
        return next((array[:, 0].astype(np.int64) for array in torn if isinstance(array, np.ndarray)), None)

    def described(self, task: ArrayFiles, places: Index) -> tuple[Output, ...]:
        """The outputs as the training examples at `places` have them. Raises DataError."""
        return tuple(
            self._described(name, one, taken(self.arrays[name], places), task) for name, one in self.said.items()
        )

    def rows(self, outputs: Sequence[Output], places: Index) -> list[Rows | RaggedRows]:
        """The targets at `places`, classes as their numbers. Raises DataError where one is none of the classes, as it

        is written.
        """
        return [taken(self.arrays[output.name], places, partial(self._numbered, output)) for output in outputs]

    def _described(self, name: str, one: ArrayOutput, train: Rows | RaggedRows, task: ArrayFiles) -> Output:
        same = {"name": name, "kind": one.kind, "loss_weight": one.loss_weight, "metrics": one.metrics}
        if one.kind == "embedding":
            return Output(**same, axes=(one.size or 0,), targets=one.targets or "ids")
        if one.kind == "values":
            return self._values(name, one, np.concatenate([*train.pieces()]), same)
        names = one.class_names or self._class_names(name, one, train)
        axes: tuple[int | str, ...] = (len(names),)
        more: dict[str, Any] = {"class_names": names, "ignore": one.ignore}
        if one.kind == "dense_classes":
            axes = (*axes, *train.shape[1:])
        elif one.kind == "token_classes":
            axes = (self._axis(name, one, task) if isinstance(train, RaggedRows) else train.shape[1], *axes)
        elif one.kind == "sequence":
            axis = self._axis(name, one, task)
            axes, more = (axis, *axes), {**more, "blank": one.blank, "frames": axis, "subsampling": one.subsampling}
        return Output(**same, axes=axes, **more)

    def _values(self, name: str, one: ArrayOutput, values: Array, same: dict[str, Any]) -> Output:
        names = one.value_names or (
            tuple(f"{name}_{place}" for place in range(values.shape[1])) if values.shape[1] > 1 else (name,)
        )
        if len(names) != values.shape[1]:
            raise self._error(name, f"has {values.shape[1]} numbers an example, and value_names {len(names)} names.")
        mean, scale = values.mean(0, np.float64), values.std(0, np.float64)
        return Output(
            **same,
            axes=(len(names),),
            value_names=names,
            unit=one.unit,
            mean=tuple(mean.tolist()),
            scale=tuple(each or 1.0 for each in scale.tolist()),
        )

    def _class_names(self, name: str, one: ArrayOutput, train: Rows | RaggedRows) -> tuple[str, ...]:
        """Texts in their order; else numbers from 0, each of which must occur among the training examples."""
        if one.kind == "multilabel":
            return tuple(f"label {place}" for place in range(train.shape[1]))
        found = np.unique(np.concatenate([np.unique(piece) for piece in train.pieces()]))
        if found.dtype.kind == "U":
            return tuple(map(str, found))
        found = found if one.ignore is None else found[found != one.ignore]
        if len(found) == 0 or found[0] < 0:
            least = "nothing" if len(found) == 0 else str(found[0])
            raise self._error(
                name, f"must be classes, whole numbers from 0, and holds {least}; say `ignore` where it counts nowhere."
            )
        absent = np.setdiff1d(np.arange(int(found[-1]) + 1), [*found, *([one.blank] if one.kind == "sequence" else [])])
        if absent.size:
            raise self._error(
                name, f"has no training example of class {absent[0]}, but of {found[-1]}; number the classes from 0 "
                "without gaps, or say class_names."
            )  # fmt: skip
        return tuple(str(place) for place in range(max(int(found[-1]), one.blank if one.kind == "sequence" else 0) + 1))

    def _axis(self, name: str, one: ArrayOutput, task: ArrayFiles) -> str:
        varying = [axis for each in task.inputs.values() for axis in each.axes or () if isinstance(axis, str)]
        if one.axis is None and len(set(varying)) != 1:
            raise self._error(name, "follows an axis that varies; name it as the output's `axis`.")
        return one.axis or varying[0]

    def _numbered(self, output: Output, values: Array) -> Array:
        if output.kind == "values" or output.targets == "pairs":
            return values.astype(np.float32)
        if output.kind == "embedding":
            return values.astype(np.int64)
        if output.kind == "multilabel":
            return values.astype(np.uint8)
        if values.dtype.kind == "U":
            return self._of_texts(output, values)
        counted = values if output.ignore is None else values[values != output.ignore]
        least, most = int(counted.min(initial=0)), int(counted.max(initial=0))
        if least < 0 or most >= output.class_count:
            odd = least if least < 0 else most
            raise self._error(output.name, f"must be classes from 0 to {output.class_count - 1}, and one is {odd}.")
        if output.kind == "sequence" and (values == output.blank).any():
            raise self._error(output.name, f"holds {output.blank}, which is the blank and never a target.")
        return values.astype(np.int64 if output.kind == "classes" else np.int32)

    def _of_texts(self, output: Output, values: Array) -> Array:
        number = {name: place for place, name in enumerate(output.class_names)}
        unknown = sorted({str(text) for text in values.ravel()} - set(number))
        if unknown:
            shown = ", ".join(repr(text) for text in unknown[:SHOWN])
            raise self._error(
                output.name, f"holds {shown}, of which there is no training example and no class name. "
                f"{nearest(unknown[0], number)}"
            )  # fmt: skip
        return np.array([number[str(text)] for text in values.ravel()], np.int64).reshape(values.shape)

    def _error(self, name: str, text: str) -> Exception:
        return self.source.error(self.said[name].key or name, text)


def read_targets(task: ArrayFiles, source: Source, inputs: Mapping[str, Stored]) -> Targets:
    """Raises DataError where targets have not the shape or the numbers of their kind."""
    first, examples = next(iter(inputs.items()))
    found: dict[str, Stored] = {}
    for name, one in task.outputs.items():
        key = one.key or name
        varies = one.kind == "sequence" or (one.kind == "token_classes" and source.lengths(key) is not None)
        array: Stored = source.varying(key, 0) if varies else source.array(key)
        if len(array) != len(examples):
            raise source.error(key, f"has {len(array):,} examples, and {first} has {len(examples):,}.")
        values = array.values if isinstance(array, Ragged) else array
        if one.kind == "values" or one.targets == "pairs":
            array = _floats(source, key, one, values)
        else:
            _check_whole(source, key, one, values)
        _check_shape(source, key, one, array)
        if one.kind == "token_classes" and isinstance(array, Ragged):
            _check_follows(source, key, array, task, one, inputs)
        found[name] = array
    return Targets(source, task.outputs, found)


def _floats(source: Source, key: str, one: ArrayOutput, values: Array) -> Array:
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise source.error(key, "must be finite numbers; leave out examples without a target.")
    return values[:, np.newaxis] if one.kind == "values" and values.ndim == 1 else values


def _check_whole(source: Source, key: str, one: ArrayOutput, values: Array) -> None:
    texts = one.kind in ("classes", "token_classes") and values.dtype.kind == "U"
    if not texts and (values.dtype.kind not in "fiub" or not are_whole(values)):
        hint = "; where numbers are to be predicted, the output is of kind values" if values.dtype.kind == "f" else ""
        raise source.error(key, f"must be whole numbers, as an output of kind {one.kind} has them{hint}.")
    if one.kind == "multilabel" and not all(np.isin(piece, (0, 1)).all() for piece in pieces_of(values)):
        raise source.error(key, "must be 0 or 1 for each label.")


def _check_shape(source: Source, key: str, one: ArrayOutput, array: Stored) -> None:
    if isinstance(array, Ragged) or one.kind == "token_classes":
        return
    said = one.targets or one.kind
    wanted = DIMENSIONS[said]
    two = said not in ("queries", "pairs") or array.shape[1:] == (2,)
    if array.ndim != {"classes": 1, "ids": 1, "dense_classes": 3}.get(said, 2) or not two:
        hint = "; of one-hot rows take argmax(1)" if one.kind == "classes" and array.ndim == 2 else ""
        raise source.error(key, f"has shape {array.shape}, and an output of kind {one.kind} has {wanted}{hint}.")


def _check_follows(
    source: Source, key: str, array: Ragged, task: ArrayFiles, one: ArrayOutput, inputs: Mapping[str, Stored]
) -> None:
    """Raises DataError where tokens are not as many as their axis has places."""
    for name, said in task.inputs.items():
        theirs = inputs.get(name)
        axis = next((axis for axis in said.axes or () if isinstance(axis, str)), None)
        if isinstance(theirs, Ragged) and one.axis in (None, axis):
            apart = np.flatnonzero(theirs.lengths != array.lengths)
            if apart.size:
                raise source.error(
                    key, f"example {apart[0]} has {array.lengths[apart[0]]} targets, and {name} "
                    f"{theirs.lengths[apart[0]]} places."
                )  # fmt: skip
            return
