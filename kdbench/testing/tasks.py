"""The contract test of tasks: typed inputs, targets by the kind of their output, lengths, views."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdbench.errors import DataError
from kdbench.protocols import Batch, Task, TaskDescription
from kdbench.ragged import Ragged, typical_lengths
from kdbench.tasks.arrays import ArrayData, gathered
from kdbench.tasks.batches import chosen_batch, plain_batches
from kdbench.tasks.checks import check_targets
from kdbench.testing.parts import check_part

CPU = torch.device("cpu")
SOME = 4
"""Examples that are looked at."""
VIEWS = 16
"""Views of each of them."""


def check_task(task: Task) -> None:
    """A task decodes to what it describes, the same each time; batches and views are as the description says.

    Ids lie within `values`, masks mark the places of an axis that varies, its lengths are those of the training split,
    targets are what their output's kind has, view 0 is the example as it is stored, and a mask of classes goes wherever
    its image goes.
    """
    check_part(task)
    name = type(task).__name__
    json.dumps(task.identity())
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        description = task.decode(Path(one))
        assert task.decode(Path(two)) == description, f"{name} describes itself differently the second time."
        again = TaskDescription.model_validate_json(description.model_dump_json())
        assert again == description, f"{name}'s description is another one after JSON."
        kinds = {output.kind for output in description.outputs}
        assert set(task.kinds()) <= kinds, f"{name}.kinds() says {task.kinds()}, and it decodes to {sorted(kinds)}."
        _check_files(name, Path(one), Path(two), description)
        data = _opened(name, Path(one), description)
        _check_ids(name, data)
        _check_lengths(name, data)
        for split in description.example_counts:
            _check_made(name, next(plain_batches(data, split, SOME, CPU)), description)
        _check_views(name, task, data)


def _check_files(name: str, one: Path, two: Path, description: TaskDescription) -> None:
    for path in sorted(one.glob("*.npy")):
        same = path.read_bytes() == (two / path.name).read_bytes()
        assert same, f"{name} decodes {path.name} differently the second time."
    for companion in description.companions:
        assert (one / companion).is_file(), f"{name} names the companion {companion!r} and does not write it."
        same = (one / companion).read_bytes() == (two / companion).read_bytes()
        assert same, f"{name} writes {companion} differently the second time."


def _opened(name: str, folder: Path, description: TaskDescription) -> ArrayData:
    try:
        data = ArrayData.open(folder, description)
        for split in description.example_counts:
            check_targets(data.split(split), split, description)
    except DataError as error:
        raise AssertionError(f"{name}: {error}") from None
    return data


def _check_ids(name: str, data: ArrayData) -> None:
    """Check the ids of every split: whole numbers, and below `values` where that is said."""
    stored = [one for one in data.description.inputs if one.stored]
    for split in data.splits:
        for one, array in zip(stored, data.inputs(split), strict=True):
            values = array.values if isinstance(array, Ragged) else array
            if one.dtype != "int64":
                assert values.dtype.kind in "fiub", f"{name} stores {one.name} as {values.dtype}, which is no number."
                continue
            assert values.dtype.kind in "iub", f"{name} stores the ids {one.name} as {values.dtype}."
            most = int(values.max(initial=0))
            fits = one.values is None or (int(values.min(initial=0)) >= 0 and most < one.values)
            assert fits, f"{name}'s {one.name} of {split} reaches {most}, and ids are 0 to {(one.values or 0) - 1}."


def _check_lengths(name: str, data: ArrayData) -> None:
    for axis in data.description.axes:
        lengths = data.lengths("train").get(axis.name)
        assert lengths is not None, f"no input of {name} varies along '{axis.name}', which its description has."
        expected = typical_lengths(lengths)
        assert axis.lengths == expected, f"{name} says lengths {axis.lengths} of '{axis.name}'; train has {expected}."
        for split in data.splits:
            found = data.lengths(split)[axis.name]
            fits = axis.least <= found.min() and (axis.most is None or found.max() <= axis.most)
            assert fits, (
                f"{name}'s {split} has lengths {found.min()} to {found.max()}, outside what '{axis.name}' takes."
            )


def _check_made(name: str, batch: Batch, description: TaskDescription) -> None:
    """Inputs have the type and the places that the description says; masks and lengths tell of the axis they cover."""
    for tensor, one in zip(batch.inputs, description.inputs, strict=True):
        dtype = torch.int64 if one.dtype == "int64" else torch.float32
        assert tensor.dtype == dtype, f"{name}'s {one.name} comes as {tensor.dtype}, not {dtype}."
        if one.role == "mask":
            real = batch.mask(one.covers or "", tensor.shape[1])
            assert torch.equal(tensor.bool(), real), f"{name}'s {one.name} does not mark the real places."
        if one.role == "lengths":
            same = torch.equal(tensor.long(), batch.lengths[one.covers or ""])
            assert same, f"{name}'s {one.name} are not the lengths of its axis."


def _check_views(name: str, task: Task, data: ArrayData) -> None:
    index = np.arange(min(SOME, data.count("train")))
    stored = tuple(map(torch.from_numpy, gathered(data, "train", index)[0]))
    nothing = torch.zeros(len(index), dtype=torch.int64)
    plain = task.augmented(stored, nothing)
    assert all(map(_same, plain, stored)), f"view 0 of {name} is not the example as it is stored."
    first = chosen_batch(data, task, index, nothing.numpy(), CPU)
    unmoved = next(plain_batches(data, "train", len(index), CPU))
    for moved, target in zip(first.targets, unmoved.targets, strict=True):
        assert _same(moved, target), f"view 0 of {name} has another target than its example."
    many = index.repeat(VIEWS)
    views = np.resize(np.linspace(0, task.views() - 1, VIEWS).astype(np.int64), len(many))
    batch, again = (chosen_batch(data, task, many, views, CPU) for _ in range(2))
    for what in ("inputs", "targets"):
        for tensor, same, whole in zip(*(getattr(each, what) for each in (batch, again, first)), strict=True):
            assert tensor.shape[1:] == whole.shape[1:], f"{name}'s augmentation changes the shape of its {what}."
            assert _same(tensor, same), f"a view of {name} is another one the second time."
    _check_masks_follow(name, task, data, many, torch.from_numpy(views))


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN being NaN."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _check_masks_follow(name: str, task: Task, data: ArrayData, index: np.ndarray, views: Tensor) -> None:
    """Puts a mask in its image's place: both must go the same way, but where they are ignored.

    Only where views move pixels and change none: what comes out is 0 or was there before.
    """
    (output, *more), (one, *others) = data.description.outputs, data.description.inputs
    if task.views() == 1 or output.kind != "dense_classes" or more or others or len(one.axes) != 3:
        return
    (image,), masks = (
        gathered(data, "train", index)[0],
        torch.from_numpy(np.asarray(data.targets("train"))[index]).long(),
    )
    (pixels,) = task.augmented((torch.from_numpy(image),), views)
    if not torch.isin(pixels, torch.cat([torch.zeros(1, dtype=pixels.dtype), torch.from_numpy(image).flatten()])).all():
        return
    drawn = (masks + 1)[:, None].expand(-1, image.shape[1], -1, -1).to(pixels.dtype)
    (moved,) = task.augmented((drawn,), views)
    (followed,) = task.augmented_targets((masks,), views)
    real = followed != (-1 if output.ignore is None else output.ignore)
    same = torch.equal(moved[:, 0].long()[real], followed[real] + 1)
    assert same, f"{name} moves an image and leaves its mask; augmented_targets() must move it likewise."
