"""The teach stage: a teacher's outputs for the (example, view) pairs that a seed's epochs ask for, computed once."""

import time
from math import prod

import numpy as np
import torch
from torch import Tensor

from kdbench.protocols import Batch, Output, TaskDescription
from kdbench.ragged import Ragged, Stored
from kdbench.stages._data import TaskData
from kdbench.stages._teacher import PROBABILITIES_NOTE, load_teacher, save_outputs
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.work import Fact, Work
from kdbench.tasks.arrays import epoch_views
from kdbench.training import computing_in

TABLE_BYTES = 4 << 30
"""Largest table. What does not fit is left out, and computed live by the stages that need it."""
CHUNK = 256


def teach(work: Work) -> list[Fact]:
    """Store codes and outputs, rising by code."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    data, device = TaskData.open(work), torch.device(work.spec.numerics["device"])
    plain_arithmetic()
    codes = wanted_codes(
        data.arrays.count("train"), data.declared.views(), work.spec.seed or 0, work.spec.settings.get("epochs", 0)
    )
    codes = codes[: TABLE_BYTES // row_bytes(data.task)]
    teacher = load_teacher(work, data, device)
    rows: list[list[np.ndarray]] = [[] for _ in data.task.outputs]
    for start in range(0, len(codes), CHUNK):
        index, view = np.divmod(codes[start : start + CHUNK], data.declared.views())
        batch = data.chosen(index, view, device)
        with computing_in(work.spec.settings.get("precision", "fp32"), device):
            answer = teacher.live(batch)
        for output, given, kept in zip(data.task.outputs, answer, rows, strict=True):
            kept += _own_places(output, given, batch)
        work.progress(start / len(codes))
    save_outputs(work.out, codes, [_together(each) for each in rows], bool(teacher.gives_probabilities))
    if teacher.gives_probabilities:
        work.log.warning(PROBABILITIES_NOTE)
    return [
        {
            "kind": "teaching",
            "wall_ns": time.perf_counter_ns() - wall,
            "cpu_ns": time.process_time_ns() - cpu,
            "teacher_forward_count": teacher.forward_count,
        }
    ]


def row_bytes(task: TaskDescription) -> int:
    """Bytes of one example's outputs in float32; an axis that varies counts with its median."""
    sizes = (
        prod(axis if isinstance(axis, int) else _median(task, axis) for axis in output.axes) for output in task.outputs
    )
    return 4 * sum(sizes)


def _median(task: TaskDescription, axis: str) -> int:
    return next((known.median for known in task.axes if known.name == axis), 1)


def _own_places(output: Output, given: Tensor, batch: Batch) -> list[np.ndarray]:
    """Each example's output without what is padding."""
    lengths, array = output.places(batch.lengths), given.cpu().numpy()
    ends = [None] * len(array) if lengths is None else lengths.tolist()
    return [row[:end] for row, end in zip(array, ends, strict=True)]


def _together(rows: list[np.ndarray]) -> Stored:
    same = len({row.shape for row in rows}) == 1
    return np.stack(rows) if same else Ragged.of(rows)


def wanted_codes(example_count: int, view_count: int, seed: int, epochs: int) -> np.ndarray:
    """index * view_count + view for every pair that so many epochs of a seed visit; rising, each once, int64.

    With one view an example the epochs do not matter.
    """
    index = np.arange(example_count, dtype=np.int64)
    if view_count == 1:
        return index
    visited = [index * view_count + epoch_views(example_count, view_count, seed, epoch) for epoch in range(epochs)]
    return np.unique(np.concatenate(visited))
