"""The teach stage: a teacher's outputs for the (example, view) pairs that a seed's epochs ask for, computed once."""

import time

import numpy as np
import torch

from kdbench.stages._data import TaskData
from kdbench.stages._teacher import PROBABILITIES_NOTE, load_teacher, save_outputs
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.work import Fact, Work
from kdbench.tasks.arrays import epoch_views

TABLE_BYTES = 4 << 30
"""Largest table. What does not fit is left out, and computed live by the stages that need it."""
CHUNK = 256


def teach(work: Work) -> list[Fact]:
    """Store codes and logits, rising by code."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    data, device = TaskData.open(work), torch.device(work.spec.numerics["device"])
    plain_arithmetic()
    codes = wanted_codes(
        data.arrays.count("train"), data.declared.views(), work.spec.seed or 0, work.spec.settings.get("epochs", 0)
    )
    codes = codes[: TABLE_BYTES // (4 * data.task.class_count)]
    teacher = load_teacher(work, data, device)
    logits = np.empty((len(codes), data.task.class_count), np.float32)
    for start in range(0, len(codes), CHUNK):
        chunk = codes[start : start + CHUNK]
        index, view = np.divmod(chunk, data.declared.views())
        logits[start : start + CHUNK] = teacher.live(data.chosen(index, view, device).inputs).cpu().numpy()
        work.progress(start / len(codes))
    save_outputs(work.out, codes, logits, bool(teacher.gives_probabilities))
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


def wanted_codes(example_count: int, view_count: int, seed: int, epochs: int) -> np.ndarray:
    """index * view_count + view for every pair that so many epochs of a seed visit; rising, each once, int64.

    With one view an example the epochs do not matter.
    """
    index = np.arange(example_count, dtype=np.int64)
    if view_count == 1:
        return index
    visited = [index * view_count + epoch_views(example_count, view_count, seed, epoch) for epoch in range(epochs)]
    return np.unique(np.concatenate(visited))
