"""Batches as a model takes them: gathered from a task's arrays, augmented and preprocessed as tensors."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kdbench.protocols import Batch, Input, Output, Task, TaskDescription
from kdbench.ragged import Index, Ragged, Stored
from kdbench.streams import stream
from kdbench.tasks.arrays import ArrayData, epoch_order, epoch_views, gathered, made_array
from kdbench.tasks.resident import ResidentSplit

IGNORED = -100
"""The target that torch's cross-entropy leaves out unless told otherwise."""
POOL = 50
"""How many batches of examples are sorted by length together, so that few places of a batch are padding; a random
batch of 32 sentences nearly always has a long one, and half of its places are padding."""


def train_batches(
    data: ArrayData,
    task: Task,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
    resident: ResidentSplit | None = None,
) -> Iterator[Batch]:
    """The training split once, shuffled and augmented as seed and epoch say; examples of like lengths together.

    The last batch is smaller where the count does not divide, and never a single example unless batch_size is 1.
    resident: the split on the device, where it is there.
    """
    count = data.count("train")
    order = epoch_order(count, seed, epoch)
    views = epoch_views(count, task.views(), seed, epoch)
    lengths = data.lengths("train")
    chunks = _by_length(order, next(iter(lengths.values())), batch_size, seed, epoch) if lengths else None
    for index in chunks or _chunks(order, batch_size):
        yield chosen_batch(data, task, index, views[index], device, resident)


def chosen_batch(
    data: ArrayData,
    task: Task,
    index: Index,
    views: Index,
    device: torch.device,
    resident: ResidentSplit | None = None,
) -> Batch:
    """Training examples `index` (B,), each in its view `views[i]`."""
    return _batch(data, "train", index, torch.from_numpy(views).to(device), task, resident)


def plain_batches(
    data: ArrayData,
    split: str,
    batch_size: int,
    device: torch.device,
    order: Index | None = None,
    resident: ResidentSplit | None = None,
) -> Iterator[Batch]:
    """A split once, in its own order or another one, not augmented (view 0). Raises DataError without such a split.

    `index` is negative outside the training split: no stored teacher output may be taken for such an example.
    """
    everything = np.arange(data.split(split).count) if order is None else order
    for start in range(0, len(everything), batch_size):
        index = everything[start : start + batch_size]
        yield _batch(data, split, index, torch.zeros(len(index), dtype=torch.int64, device=device), None, resident)


def prepared(
    description: TaskDescription, stored: tuple[Tensor, ...], lengths: dict[str, Tensor]
) -> tuple[Tensor, ...]:
    """Stored inputs (B, ...) as a model takes them, masks and lengths among them; in numpy `arrays.model_inputs`."""
    given = iter(stored)
    return tuple(
        preprocess(next(given), one) if one.stored else _made(one, stored, description, lengths)
        for one in description.inputs
    )


def preprocess(tensor: Tensor, one: Input) -> Tensor:
    """(x * scale - mean) / std as float32, mean and std per channel (axis 1); integers as int64, never scaled."""
    if one.dtype == "int64":
        return tensor.long()
    shape = (1, -1, *(1 for _ in tensor.shape[2:]))
    mean = torch.tensor(one.preprocessing.mean, dtype=torch.float32, device=tensor.device).reshape(shape)
    std = torch.tensor(one.preprocessing.std, dtype=torch.float32, device=tensor.device).reshape(shape)
    return (tensor.float() * one.preprocessing.scale).sub_(mean).div_(std)


def _made(one: Input, stored: tuple[Tensor, ...], description: TaskDescription, lengths: dict[str, Tensor]) -> Tensor:
    arrays = [np.empty(tensor.shape, np.bool_) for tensor in stored]  # their shapes are all that is asked
    made = made_array(one, arrays, description, {axis: found.cpu().numpy() for axis, found in lengths.items()})
    return torch.from_numpy(made).to(stored[0].device)


def _chunks(order: Index, batch_size: int) -> list[Index]:
    """`order` cut into batches; a single left-over example joins the batch before, as BatchNorm refuses one alone."""
    borders = list(range(batch_size, len(order), batch_size))
    if len(order) % batch_size == 1 and borders:
        borders.pop()
    return np.split(order, borders)


def _by_length(order: Index, lengths: Index, batch_size: int, seed: int, epoch: int) -> list[Index]:
    """Batches of like lengths: pools of the shuffled order sorted, cut into batches, and these shuffled."""
    chunks: list[Index] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        chunks += _chunks(pool[np.argsort(lengths[pool], kind="stable")], batch_size)
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [np.concatenate(chunks[-2:])]
    return [chunks[place] for place in stream("batches", seed, epoch).permutation(len(chunks))]


def _batch(
    data: ArrayData, split: str, index: Index, views: Tensor, augmenting: Task | None, resident: ResidentSplit | None
) -> Batch:
    if resident is not None:
        places = torch.from_numpy(index).to(views.device)
        stored, lengths = tuple(array[places] for array in resident.inputs), {}
    else:
        arrays, found = gathered(data, split, index)
        stored = tuple(torch.from_numpy(array).to(views.device) for array in arrays)
        lengths = {axis: torch.from_numpy(each).to(views.device) for axis, each in found.items()}
    if augmenting is not None:
        stored = augmenting.augmented_ragged(stored, views, lengths) if lengths else augmenting.augmented(stored, views)
    inputs = prepared(data.description, stored, lengths)
    targets = []
    of_split = data.split(split).targets if resident is None else resident.targets
    for output, array in zip(data.description.outputs, of_split, strict=True):
        if isinstance(array, Ragged):
            lengths[output.name] = torch.from_numpy(array.lengths[index]).to(views.device)
        targets.append(_targets(output, array, index, views.device))
    if augmenting is not None:
        targets = list(augmenting.augmented_targets(tuple(targets), views))
    place = torch.from_numpy(index if split == "train" else -1 - index).to(views.device)
    return Batch(inputs, tuple(targets), place, views, lengths)


def _targets(output: Output, array: Stored | Tensor, index: Index, device: torch.device) -> Tensor:
    """Targets of some examples. Behind the end of a shorter one's tokens stands what counts nowhere.

    That is the output's `ignore`, or torch's own -100. It is put in as int64: stored labels may be bytes.
    """
    if not isinstance(array, Ragged):
        places = torch.from_numpy(index).to(device)
        tensor = array[places] if isinstance(array, Tensor) else torch.from_numpy(array[index]).to(device)
        numbers = output.kind in ("multilabel", "values") or (output.kind == "embedding" and output.targets == "pairs")
        return tensor.float() if numbers else tensor.long()
    padded = torch.from_numpy(array.padded(index, 0)).to(device).long()
    if output.kind != "token_classes":
        return padded
    lengths = torch.from_numpy(array.lengths[index]).to(device)
    behind = torch.arange(padded.shape[1], device=device) >= lengths[:, None]
    return padded.masked_fill(behind, IGNORED if output.ignore is None else output.ignore)
