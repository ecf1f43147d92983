"""A task's decoded data as a stage uses it: batches for training, passes in order, the description."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from kdbench.protocols import Batch, Task, TaskDescription
from kdbench.stages.work import Work, read_description
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import chosen_batch, plain_batches, train_batches
from kdbench.tasks.resident import ResidentSplit, resident_splits
from kdbench.training.ahead import made_ahead

EVALUATION_BATCH = 256


def is_apart(device: torch.device) -> bool:
    """Whether a device works while the processor does something else."""
    return device.type != "cpu"


@dataclass(frozen=True)
class TaskData:
    """The task (for its augmentation), what decoding found, and the mapped arrays."""

    declared: Task
    task: TaskDescription
    arrays: ArrayData
    resident: dict[torch.device, Mapping[str, ResidentSplit]] = field(default_factory=dict)
    """Device of a training -> the splits that lie there whole."""

    @classmethod
    def open(cls, work: Work) -> "TaskData":
        """From a stage's input "data"; what lies on a device lies there once for all stages that go in step."""
        task = read_description(work.input("data"))
        resident = work.turn.lockstep.resident.setdefault(work.spec.inputs["data"], {})
        return cls(work.part("task"), task, ArrayData.open(work.input("data"), task), resident)

    def epoch(self, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[Batch]:
        """The training split shuffled and augmented: order and views are those of this seed and epoch.

        Where the device has room, the data is brought there at the first epoch; else batches are made ahead, while the
        device works on those before. On a processor neither is of use.
        """
        if device not in self.resident:
            self.resident[device] = resident_splits(self.arrays, device)
        resident = self._resident("train", device)
        batches = train_batches(self.arrays, self.declared, batch_size, seed, epoch, device, resident)
        return made_ahead(batches) if resident is None and is_apart(device) else batches

    def in_order(self, split: str, device: torch.device) -> Iterator[Batch]:
        """A split once, in order, not augmented."""
        return plain_batches(self.arrays, split, EVALUATION_BATCH, device, resident=self._resident(split, device))

    def chosen(self, index: np.ndarray, view: np.ndarray, device: torch.device) -> Batch:
        """Given views of given training examples."""
        return chosen_batch(self.arrays, self.declared, index, view, device, self._resident("train", device))

    def _resident(self, split: str, device: torch.device) -> ResidentSplit | None:
        return self.resident.get(device, {}).get(split)

    def has(self, split: str) -> bool:
        """Whether the task has such a split."""
        return self.task.example_counts.get(split, 0) > 0
