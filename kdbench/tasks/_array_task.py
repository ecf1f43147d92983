"""Arrays of one's own become a task: read, shared out into splits, checked against what was said, described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from kdbench.errors import DataError
from kdbench.protocols import Input, Preprocessing, SymbolicAxis, TaskDescription
from kdbench.ragged import Array, Index, Ragged, Stored, typical_lengths
from kdbench.tasks._array_targets import Targets, read_targets
from kdbench.tasks.array_sources import Source
from kdbench.tasks.arrays import write_split
from kdbench.tasks.kept_groups import kept
from kdbench.tasks.rows import RaggedRows, Rows, pieces_of, taken
from kdbench.tasks.splits import as_said, at_random, by_group
from kdbench.tasks.spool import converted

if TYPE_CHECKING:
    from kdbench.tasks.array_files import ArrayFiles, ArrayInput

Inputs = dict[str, Stored]
Split = dict[str, Rows | RaggedRows]
IDS, FLOATS = np.int32, np.float32


def decode(task: ArrayFiles, out: Path) -> TaskDescription:
    """Write every split and describe them. Raises DataError."""
    with TemporaryDirectory(dir=out, ignore_cleanup_errors=True) as scratch:
        sources = {}
        for name, place in task.places().items():
            own = Path(scratch) / name
            own.mkdir()
            sources[name] = Source.open(place, own)
        return _written(task, sources, out)


def _written(task: ArrayFiles, sources: dict[str, Source], out: Path) -> TaskDescription:
    inputs = {name: _read_inputs(task, source) for name, source in sources.items()}
    targets = {name: read_targets(task, source, inputs[name]) for name, source in sources.items()}
    parts = {split: (name, places) for split, name, places in _shared_out(task, sources, targets)}
    splits = {
        split: {key: taken(array, places) for key, array in inputs[name].items()}
        for split, (name, places) in parts.items()
    }
    train, places = parts["train"]
    described = targets[train].described(task, places)
    counts = {}
    for split, own in _kept(task, sources, targets, parts).items():
        name, places = parts[split]
        rows = targets[name].rows(described, places[own])
        counts[split] = len(own)
        arrays = [taken(array, places[own]) for array in inputs[name].values()]
        write_split(out, split, arrays, tuple(rows))
    return TaskDescription(
        inputs=tuple(_input(name, one, splits["train"]) for name, one in task.inputs.items()),
        outputs=described,
        axes=_axes(task, splits),
        example_counts=counts,
        validation_origin=task.validation_origin(),
    )


def _kept(
    task: ArrayFiles, sources: dict[str, Source], targets: dict[str, Targets], parts: dict[str, tuple[str, Index]]
) -> dict[str, Index]:
    """The places, among each split's own examples, of those that `only` keeps. Raises DataError."""
    if not task.only:
        return {split: np.arange(len(places)) for split, (_, places) in parts.items()}
    said = {
        split: {key: _column(sources[name], key, targets[name].count, "only")[places].astype(str) for key in task.only}
        for split, (name, places) in parts.items()
    }
    return kept(task.only, said)


def _read_inputs(task: ArrayFiles, source: Source) -> Inputs:
    """Raises DataError where two differ in the number of examples, or in the length along an axis that they share."""
    found: Inputs = {}
    lengths: dict[str, tuple[str, Index]] = {}
    for name, one in task.inputs.items():
        if one.made:
            continue
        key = one.key or name
        found[name] = array = _read_input(source, key, one)
        first = next(iter(found))
        if len(array) != len(found[first]):
            raise source.error(key, f"has {len(array):,} examples, and {first} has {len(found[first]):,}.")
        axis = next((axis for axis in one.axes or () if isinstance(axis, str)), None)
        if axis is not None and isinstance(array, Ragged):
            other, theirs = lengths.setdefault(axis, (name, array.lengths))
            if (apart := np.flatnonzero(theirs != array.lengths)).size:
                here, there = array.lengths[apart[0]], theirs[apart[0]]
                raise source.error(
                    key, f"example {apart[0]} is {here} long, and in {other} {there}; both vary along '{axis}'."
                )
    return found


def _read_input(source: Source, key: str, one: ArrayInput) -> Stored:
    axes = one.axes
    varying = next((place for place, axis in enumerate(axes or ()) if isinstance(axis, str)), None)
    array: Stored = source.array(key) if varying is None else source.varying(key, varying)
    if isinstance(array, np.ndarray) and array.ndim == 1:
        array = array[:, np.newaxis]
    wanted = None if axes is None else tuple(axis for axis in axes if not isinstance(axis, str))
    shape = array.shape if isinstance(array, Ragged) else array.shape[1:]
    if wanted is not None and tuple(shape) != wanted:
        raise source.error(key, f"an example has shape {tuple(shape)}, and axes says {wanted}.")
    if len(array) == 0:
        raise source.error(key, "holds no example.")
    values = array.values if isinstance(array, Ragged) else array
    stored = _ids(source, key, values, one) if one.type == "int64" else _numbers(source, key, values)
    return Ragged(stored, array.offsets) if isinstance(array, Ragged) else stored


def _ids(source: Source, key: str, values: Array, one: ArrayInput) -> Array:
    if values.dtype.kind not in "iub":
        raise source.error(key, f"must be whole numbers, and is {values.dtype}.")
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    if one.values is not None and (least < 0 or most >= one.values):
        raise source.error(key, f"must be ids from 0 to {one.values - 1}, and reaches from {least} to {most}.")
    return converted(values, IDS, source.scratch)


def _numbers(source: Source, key: str, values: Array) -> Array:
    """As small as they are; numbers that float32 has no room for are refused."""
    if values.dtype.kind not in "fiub":
        raise source.error(key, f"must be numbers, and is {values.dtype}.")
    small = values.dtype in (np.uint8, np.int8, np.int16)
    stored = values if small else converted(values, FLOATS, source.scratch)
    if not all(np.isfinite(piece).all() for piece in pieces_of(stored)):
        raise source.error(key, "holds numbers that are not finite; fill in what is missing, or use the task `table`.")
    return stored


def _shared_out(
    task: ArrayFiles, sources: dict[str, Source], targets: dict[str, Targets]
) -> list[tuple[str, str, Index]]:
    """(split, where its examples are, their places)."""
    if task.file is not None and task.split_by is not None:
        source = sources["file"]
        said = _column(source, task.split_by, targets["file"].count, "split_by")
        parts = as_said(said, f"'{source.place}': {task.split_by}")
        return [(split, "file", places) for split, places in parts.items()]
    fractions = {"validation": 0.0 if "validation" in sources else task.validation_fraction}
    own = "file" if task.file is not None else "train"
    if own == "file":
        fractions["test"] = task.test_fraction
    else:
        _check_groups_apart(task, sources, targets)
    parts = _parts(task, sources[own], targets[own], fractions)
    others = [(name, name, np.arange(targets[name].count)) for name in sources if name != own]
    return [*((split, own, places) for split, places in parts.items()), *others]


def _parts(task: ArrayFiles, source: Source, targets: Targets, fractions: dict[str, float]) -> dict[str, Index]:
    try:
        if task.group_by is not None:
            groups = _column(source, task.group_by, targets.count, "group_by")
            return by_group(groups, fractions, task.split_seed)
        if (numbers := targets.together()) is not None:
            return by_group(numbers, fractions, task.split_seed)
        return at_random(targets.count, fractions, task.split_seed, targets.classes())
    except DataError as error:
        raise DataError(f"'{source.place}': {error}") from None


def _column(source: Source, key: str, count: int, why: str) -> Array:
    array = source.array(key, f", which {why} names")
    if array.shape != (count,):
        raise source.error(key, f"has shape {array.shape}, and one entry an example was expected, ({count},).")
    return array


def _check_groups_apart(task: ArrayFiles, sources: dict[str, Source], targets: dict[str, Targets]) -> None:
    """Raises DataError where a group has examples in two files."""
    if task.group_by is None:
        return
    seen: dict[str, str] = {}
    for name, source in sources.items():
        for group in np.unique(_column(source, task.group_by, targets[name].count, "group_by")):
            if seen.setdefault(str(group), name) != name:
                raise source.error(task.group_by, f"the group '{group}' is in {seen[str(group)]} as well as in {name}.")


def _input(name: str, one: ArrayInput, train: Split) -> Input:
    said = {"name": name, "role": one.role, "dtype": one.type, "padding": one.padding, "values": one.values}
    if one.made:
        return Input(**said, axes=(one.covers,) if one.role == "mask" else (), covers=one.covers)
    rows = train[name]
    axes = one.axes or (rows.shape if isinstance(rows, RaggedRows) else rows.shape[1:])
    return Input(**said, axes=tuple(axes), preprocessing=_preprocessing(one, rows, axes))


def _preprocessing(one: ArrayInput, rows: Rows | RaggedRows, axes: Sequence[int | str]) -> Preprocessing:
    if one.mean is not None and one.std is not None:
        return Preprocessing(scale=one.scale, mean=one.mean, std=one.std)
    if not one.standardize:
        return Preprocessing(scale=one.scale)
    # an axis that varies lies first in what is stored; as the first of an input it stands where channels would
    mean, std = _moments(rows, one.scale, has_channels=not isinstance(axes[0], str))
    return Preprocessing(
        scale=one.scale,
        mean=tuple(round(float(each), 6) for each in mean),
        std=tuple(float(f"{each:.6g}") or 1.0 for each in std),
    )


def _moments(rows: Rows | RaggedRows, scale: float, has_channels: bool) -> tuple[Array, Array]:
    """Mean and standard deviation over all values, of each channel (axis 1) where there are channels."""

    def pieces() -> Iterator[Array]:
        for piece in rows.pieces():
            scaled = piece.astype(np.float64) * scale
            yield np.moveaxis(scaled, 1, -1).reshape(-1, scaled.shape[1]) if has_channels else scaled.reshape(-1, 1)

    count = sum(map(len, pieces()))
    mean = sum(piece.sum(0) for piece in pieces()) / count
    variance = sum(((piece - mean) ** 2).sum(0) for piece in pieces()) / count
    return mean, np.sqrt(variance)


def _axes(task: ArrayFiles, splits: dict[str, Split]) -> tuple[SymbolicAxis, ...]:
    """Every axis that varies, with the training split's typical lengths. Raises DataError where bounds do not hold."""
    found: dict[str, SymbolicAxis] = {}
    for name, one in task.inputs.items():
        axis = next((axis for axis in one.axes or () if isinstance(axis, str)), None)
        if axis is None or axis in found or one.made:
            continue
        said = SymbolicAxis(name=axis, **(task.axes[axis].model_dump() if axis in task.axes else {}))
        for split, inputs in splits.items():
            rows = inputs[name]
            assert isinstance(rows, RaggedRows)
            _check_bounds(said, split, rows.lengths)
        train = splits["train"][name]
        assert isinstance(train, RaggedRows)
        found[axis] = said.model_copy(update={"lengths": typical_lengths(train.lengths)})
    return tuple(found.values())


def _check_bounds(axis: SymbolicAxis, split: str, lengths: Index) -> None:
    least, most = axis.least, axis.most
    if lengths.min() < least or (most is not None and lengths.max() > most):
        worst = lengths.min() if lengths.min() < least else lengths.max()
        raise DataError(
            f"axes.{axis.name}: an example of {split} is {worst} long, "
            f"and sizes from {least} to {'any' if most is None else most} are allowed; cut or leave out such examples."
        )
