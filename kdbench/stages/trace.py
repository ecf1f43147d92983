"""The trace stage: a trained network becomes a program that torch runs without its Python code, to be timed."""

import torch

from kdbench.measure.runtimes import torch as torch_runtime
from kdbench.stages import torch_models
from kdbench.stages._data import TaskData
from kdbench.stages._recurrent import GRU, LSTM, kept_whole
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.export import dynamic_shapes
from kdbench.stages.names import TORCH_FILE
from kdbench.stages.work import Fact, Work

CPU = torch.device("cpu")


def trace(work: Work) -> list[Fact]:
    """Write `model.pt2`. Raises MeasureError where torch cannot export the network."""
    plain_arithmetic()
    data = TaskData.open(work)
    model = torch_models.load(work.input("model"), data.task, CPU)
    example = tuple(tensor[:2] for tensor in next(data.in_order("train", CPU)).inputs)
    free = [tuple(axes) for axes in dynamic_shapes(data.task)]
    with kept_whole(LSTM, GRU):
        torch_runtime.save(model, example, tuple(data.task.input_names), work.out / TORCH_FILE, free)
    return []
