"""A context of texts in memory: ids of unequal length, a mask, two classes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kdbench.models.encoder import Encoder
from kdbench.protocols import Batch, Input, Output, SymbolicAxis, TaskDescription
from kdbench.protocols.recipe import Recipe
from kdbench.training import Examples, Training

WORDS, LONGEST, COUNT = 30, 12, 64
TASK = TaskDescription(
    inputs=(
        Input(name="ids", axes=("length",), dtype="int64", values=WORDS),
        Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length"),
    ),
    outputs=(Output(axes=(2,), class_names=("odd", "even")),),
    axes=(SymbolicAxis(name="length", most=LONGEST, lengths={"median": 6, "p95": 12, "longest": 12}),),
    example_counts={"train": COUNT},
)


def encoder(seed: int = 0, **fields: object) -> nn.Module:
    """A network with weights of that seed."""
    torch.manual_seed(seed)
    return Encoder.from_fields({"width": 16, "heads": 4, "dropout": 0.0, **fields}).build(TASK)


class TextContext:
    """`kdbench.protocols.Context`, as far as techniques inside transformers ask it."""

    def __init__(self, out: Path, student: Encoder, teacher: Encoder | None = None, network: nn.Module | None = None):
        random = torch.Generator().manual_seed(100)
        self.lengths = torch.randint(4, LONGEST + 1, (COUNT,), generator=random)
        self.mask = (torch.arange(LONGEST) < self.lengths[:, None]).long()
        self.ids = torch.randint(1, WORDS, (COUNT, LONGEST), generator=random) * self.mask
        self.targets = (self.ids[:, 0] % 2).long()
        self.out, self.task, self.seed = out, TASK, 0
        self.recipe = Recipe(epochs=6, batch_size=16, optimizer="adamw", learning_rate=0.01)
        self.student_layers, self.teacher_layers = student.layers(), (teacher or student).layers()
        self.teacher_network = network
        self.notes: list[str] = []
        self.note = self.notes.append
        self.terms: list[dict[str, float]] = []

    def fit(self, model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        torch.set_num_threads(1)
        training = Training(model, self.recipe, self.task, Examples(self.epoch, None, COUNT), loss, extra)
        self.terms = training.run().terms_by_epoch
        return model

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for index in torch.randperm(COUNT, generator=torch.Generator().manual_seed(epoch)).split(16):
            yield self.batch(index)

    def batch(self, index: torch.Tensor) -> Batch:
        longest = int(self.lengths[index].max())
        inputs = (self.ids[index, :longest], self.mask[index, :longest])
        lengths = {"length": self.lengths[index]}
        return Batch(inputs, (self.targets[index],), index, torch.zeros_like(index), lengths)

    @property
    def teacher_module(self) -> nn.Module:
        return self.teacher_network.eval().requires_grad_(False)

    def answers(self, network: nn.Module, batch: Batch):
        with torch.no_grad():
            return (network.eval()(*batch.inputs),)

    def teacher(self, batch: Batch, number: int = 0):
        return self.answers(self.teacher_network, batch)

    @property
    def example(self):
        return self.batch(torch.arange(2)).inputs

    @property
    def train(self):
        return iter([self.batch(torch.arange(COUNT))])

    @property
    def validation(self):
        return self.train

    def calibration(self, sample_count: int) -> list[dict[str, np.ndarray]]:
        """Single examples at their own lengths, and the same in padded batches of eight."""
        places = [*torch.arange(sample_count)[:, None], *torch.arange(sample_count).split(8)]
        return [
            {name: tensor.numpy() for name, tensor in zip(("ids", "mask"), self.batch(index).inputs, strict=True)}
            for index in places
        ]
