"""Batches of images without labels, which a teacher scores beside the training split."""

from collections.abc import Iterator

import numpy as np
import torch

from kdbench.protocols import Batch
from kdbench.stages._data import TaskData
from kdbench.streams import stream
from kdbench.tasks.batches import prepared


def endless(
    images: np.ndarray, data: TaskData, batch_size: int, seed: int, device: torch.device, start: int = 0
) -> Iterator[Batch]:
    """Batches of stored images (N, C, H, W) from number `start` on, in random views of the task.

    Each time round they come in another order. They have no targets; an index is negative, so that no stored teacher
    output is taken for it.
    """
    random = stream("unlabelled", seed)
    size = min(batch_size, len(images))
    for number, index in enumerate(_indices(len(images), size, random)):
        views = random.integers(0, data.declared.views(), size)
        if number >= start:
            yield _batch(images, data, index, views, device)


def _indices(count: int, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        order = random.permutation(count)
        yield from order[: count - count % size].reshape(-1, size)


def _batch(images: np.ndarray, data: TaskData, index: np.ndarray, views: np.ndarray, device: torch.device) -> Batch:
    placed = torch.from_numpy(views).to(device)
    stored = (torch.from_numpy(images[index]).to(device),)
    inputs = prepared(data.task, data.declared.augmented(stored, placed), {})
    place = torch.from_numpy(-1 - index).to(device)
    return Batch(inputs, (), place, placed)
