"""What a technique is given beside the model. Knows torch for type checking only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kdbench.protocols.batch import Batch
from kdbench.protocols.data import TaskDescription
from kdbench.protocols.model import Layers

if TYPE_CHECKING:
    import numpy
    from torch import Tensor, nn

Outputs = tuple["Tensor", ...]
"""What a model gives for a batch, one tensor an output of the task, in float32."""
Loss = Callable[[Batch, Outputs], "dict[str, Tensor]"]
"""(batch, the student's outputs) -> {name: weighted term}; the loop sums the terms and logs each."""


class Context(Protocol):
    """What a technique is given beside the model. There is no way to test data."""

    @property
    def seed(self) -> int: ...

    @property
    def task(self) -> TaskDescription: ...

    @property
    def out(self) -> Path:
        """A folder of this stage's own; a technique on files writes its result there."""
        ...

    @property
    def log(self) -> logging.Logger: ...

    def fit(
        self,
        model: nn.Module,
        loss: Loss | None = None,
        extra: nn.Module | None = None,
        recipe: str = "train",
        part: tuple[float, float] = (0.0, 1.0),
    ) -> nn.Module:
        """Train `model` (and the modules in `extra`, which are dropped afterwards) under the recipe in that role.

        loss: None means the task's own on the labels (`kdbench.functional.labels_loss`), {"ce": ...} for classes.
        part: from where to where in the recipe's epochs, as shares of them, for a technique that trains in several
        goes: (0, 0.25) and then (0.25, 1) together have the recipe's length. Each go runs the whole schedule,
        shrunk to its length. A part that rounds to no epoch trains nothing.
        """
        ...

    def teacher(self, batch: Batch, number: int = 0) -> Outputs:
        """The outputs of a teacher for a batch: stored where they were computed before, else live."""
        ...

    @property
    def teacher_count(self) -> int:
        """How many teachers the case names."""
        ...

    @property
    def teacher_module(self) -> nn.Module:
        """The (first) teacher itself, in eval mode, without gradients; for features.

        Raises TechniqueError where the teacher is an ONNX file.
        """
        ...

    def answers(self, network: nn.Module, batch: Batch) -> Outputs:
        """The outputs of any network that teaches, live: in eval mode, without gradients, counted as a teacher's pass.

        Its hooks fire, so `answers(ctx.teacher_module, batch)` fills what taps on the teacher collect.
        """
        ...

    def fresh(self, number: int, model: str | dict[str, Any] | None = None) -> nn.Module:
        """A further network with new weights, another for each number (from 1).

        model: a registered name or one {name: fields}; None: the student's own architecture.
        """
        ...

    @property
    def student_layers(self) -> Layers:
        """Where the student's architecture is tapped by default."""
        ...

    @property
    def teacher_layers(self) -> Layers:
        """Where the (first) teacher's architecture is tapped by default."""
        ...

    def unlabelled(self, batch_size: int) -> Iterator[Batch]:
        """The images of the technique's `unlabelled_folder`, over and over in an order of this seed; no targets."""
        ...

    def note(self, sentence: str) -> None:
        """A sentence that a reader of the results must see beside this case."""
        ...

    @property
    def train(self) -> Iterable[Batch]:
        """The training split once, in order, not augmented."""
        ...

    @property
    def validation(self) -> Iterable[Batch]: ...

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Two preprocessed training inputs, for tracing."""
        ...

    def calibration(self, sample_count: int) -> Sequence[dict[str, numpy.ndarray]]:
        """Preprocessed training inputs by input name, batch 1 each, drawn with this seed.

        Where an axis varies, the same examples come once more in padded batches.
        Raises DataError when the training split has fewer.
        """
        ...
