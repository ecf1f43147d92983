"""The trace stage: a trained network as a program that torch runs without the code that made it, for reference."""

import torch

from kdbench import torch_session
from kdbench.stages import _models
from kdbench.stages._context import plain_arithmetic
from kdbench.stages._data import TaskData
from kdbench.stages._work import Fact, Work
from kdbench.stages.names import TORCH_FILE

CPU = torch.device("cpu")


def trace(work: Work) -> list[Fact]:
    """Write `model.pt2`. Raises MeasureError where torch cannot export the network."""
    plain_arithmetic()
    data = TaskData.open(work)
    model = _models.load(work.input("model"), data.task, CPU)
    example = tuple(tensor[:2] for tensor in next(data.in_order("train", CPU)).inputs)
    torch_session.save(model, example, tuple(data.task.input_names), work.out / TORCH_FILE)
    return []
