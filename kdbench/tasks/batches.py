"""Batches as a model takes them: gathered from a task's arrays, augmented and preprocessed as tensors."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kdbench.protocols import Batch, Preprocessing, Task, TaskDescription
from kdbench.tasks.arrays import ArrayData, Index, epoch_order, epoch_views


def train_batches(
    data: ArrayData,
    task: Task,
    description: TaskDescription,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """The training split once, shuffled and augmented as seed and epoch say.

    The last batch is smaller where the count does not divide, and never a single example unless batch_size is 1.
    """
    count = data.count("train")
    order = epoch_order(count, seed, epoch)
    views = epoch_views(count, task.views(), seed, epoch)
    for index in _chunks(order, batch_size):
        yield chosen_batch(data, task, description, index, views[index], device)


def chosen_batch(
    data: ArrayData, task: Task, description: TaskDescription, index: Index, views: Index, device: torch.device
) -> Batch:
    """Training examples `index` (B,), each in its view `views[i]`."""
    batch_views = torch.from_numpy(views).to(device)
    inputs = task.augmented(_gather(data, "train", index, device), batch_views)
    return _batch(inputs, data, "train", description, index, batch_views)


def plain_batches(
    data: ArrayData, split: str, description: TaskDescription, batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """A split once, in order, not augmented (view 0). Raises DataError when there is no such split.

    `index` is negative outside the training split: no stored teacher output may be taken for such an example.
    """
    everything = np.arange(len(data.targets(split)))
    for start in range(0, len(everything), batch_size):
        index = everything[start : start + batch_size]
        views = torch.zeros(len(index), dtype=torch.int64, device=device)
        yield _batch(_gather(data, split, index, device), data, split, description, index, views)


def preprocess(inputs: tuple[Tensor, ...], preprocessing: Preprocessing) -> tuple[Tensor, ...]:
    """(x * scale - mean) / std as float32, mean and std per channel (axis 1); in numpy `arrays.preprocess_array`."""
    return tuple(_preprocess(tensor, preprocessing) for tensor in inputs)


def _preprocess(tensor: Tensor, preprocessing: Preprocessing) -> Tensor:
    shape = (1, -1, *(1 for _ in tensor.shape[2:]))
    mean = torch.tensor(preprocessing.mean, dtype=torch.float32, device=tensor.device).reshape(shape)
    std = torch.tensor(preprocessing.std, dtype=torch.float32, device=tensor.device).reshape(shape)
    return (tensor.float() * preprocessing.scale - mean) / std


def _chunks(order: Index, batch_size: int) -> list[Index]:
    """`order` cut into batches; a single left-over example joins the batch before, as BatchNorm refuses one alone."""
    borders = list(range(batch_size, len(order), batch_size))
    if len(order) % batch_size == 1 and borders:
        borders.pop()
    return np.split(order, borders)


def _gather(data: ArrayData, split: str, index: Index, device: torch.device) -> tuple[Tensor, ...]:
    # indexing with an array copies, so torch never sees the read-only map
    return tuple(torch.from_numpy(array[index]).to(device) for array in data.inputs(split))


def _batch(
    inputs: tuple[Tensor, ...],
    data: ArrayData,
    split: str,
    description: TaskDescription,
    index: Index,
    views: Tensor,
) -> Batch:
    targets = torch.from_numpy(data.targets(split)[index]).to(views.device)
    place = torch.from_numpy(index if split == "train" else -1 - index).to(views.device)
    return Batch(preprocess(inputs, description.preprocessing), targets, place, views)
