"""A task of two inputs, one of which varies in length, and two outputs; and a network for it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.protocols import Input, Model, Output, SymbolicAxis, Task, TaskDescription
from kdbench.tasks.arrays import write_split

WORDS = 20
COUNTS = {"train": 200, "validation": 60, "test": 90}


class Signals(Task):
    """Which of two words comes more often, and a number that a vector and the length say."""

    def decode(self, out: Path) -> TaskDescription:
        draw = np.random.default_rng(0)
        lengths = {}
        for split, count in COUNTS.items():
            lengths[split] = draw.integers(2, 13, count)
            words = [draw.integers(1, WORDS, length).astype(np.int32) for length in lengths[split]]
            vectors = draw.normal(size=(count, 4)).astype(np.float32)
            classes = np.array([int((word > WORDS // 2).mean() > 0.5) for word in words])
            values = np.stack([vectors.sum(1), vectors[:, 0] * 10], 1).astype(np.float32)
            write_split(out, split, (vectors, words), (classes, values))
        train = lengths["train"]
        found = {"median": int(np.median(train)), "p95": int(np.quantile(train, 0.95)), "longest": int(train.max())}
        return TaskDescription(
            inputs=(
                Input(name="vector", axes=(4,)),
                Input(name="ids", axes=("length",), dtype="int64", values=WORDS),
                Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length"),
            ),
            outputs=(
                Output(name="which", axes=(2,), class_names=("low", "high")),
                Output(
                    name="much", kind="values", axes=(2,), value_names=("sum", "first"), unit="MW", scale=(2.0, 10.0)
                ),
            ),
            axes=(SymbolicAxis(name="length", most=64, lengths=found),),
            example_counts=COUNTS,
        )


class Network(nn.Module):
    """The mean of real words' vectors beside the given one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width)
        self.inner = nn.Linear(width, width)
        self.which = nn.Linear(width + 4, 2)
        self.much = nn.Linear(width + 4, 2)

    def forward(self, vector: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        real = mask.unsqueeze(2).float()
        words = (torch.relu(self.inner(self.words(ids))) * real).sum(1) / real.sum(1)
        both = torch.cat([words, vector], 1)
        return self.which(both), self.much(both)


class Net(Model):
    """A small network for it."""

    width: int = 16

    def build(self, task: TaskDescription) -> nn.Module:
        return Network(self.width)
