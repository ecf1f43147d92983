"""A task's decoded data as a stage uses it: batches for training, passes in order, the description."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kdbench.protocols import Batch, Task, TaskDescription
from kdbench.stages.work import Work, read_description
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import chosen_batch, plain_batches, train_batches

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class TaskData:
    """The task (for its augmentation), what decoding found, and the mapped arrays."""

    declared: Task
    task: TaskDescription
    arrays: ArrayData

    @classmethod
    def open(cls, work: Work) -> "TaskData":
        """From a stage's input "data"."""
        task = read_description(work.input("data"))
        return cls(work.part("task"), task, ArrayData.open(work.input("data"), task))

    def epoch(self, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[Batch]:
        """The training split shuffled and augmented: order and views are those of this seed and epoch."""
        return train_batches(self.arrays, self.declared, batch_size, seed, epoch, device)

    def in_order(self, split: str, device: torch.device) -> Iterator[Batch]:
        """A split once, in order, not augmented."""
        return plain_batches(self.arrays, split, EVALUATION_BATCH, device)

    def chosen(self, index: np.ndarray, view: np.ndarray, device: torch.device) -> Batch:
        """Given views of given training examples."""
        return chosen_batch(self.arrays, self.declared, index, view, device)

    def has(self, split: str) -> bool:
        """Whether the task has such a split."""
        return self.task.example_counts.get(split, 0) > 0
