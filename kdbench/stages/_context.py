"""What a technique is given at work: the loop, the teacher, the training split; nothing of the test split."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.errors import DataError, TechniqueError
from kdbench.protocols import Batch, Loss
from kdbench.recipe import Recipe
from kdbench.stages._data import TaskData
from kdbench.stages._teacher import Teacher, load_teacher
from kdbench.stages._work import Fact, Work
from kdbench.stages.names import CHECKPOINT
from kdbench.tasks._arrays import preprocess_array
from kdbench.training import Examples, History, Training

CHECKPOINT_SECONDS = 20.0
"""A kill costs at most this much of a training, or one epoch where that is longer."""


class StageContext:
    """`kdbench.protocols.Context` over a stage's inputs."""

    def __init__(self, work: Work) -> None:
        plain_arithmetic()
        self._work = work
        self._data = TaskData.open(work)
        self.task = self._data.task
        self.seed = work.spec.seed or 0
        self.device = torch.device(work.spec.numerics.get("device", "cpu"))
        self.histories: list[tuple[Recipe, History]] = []
        self._teacher: Teacher | None = None

    @property
    def out(self) -> Path:
        return self._work.out

    @property
    def log(self) -> logging.Logger:
        return self._work.log

    def fit(
        self, model: nn.Module, loss: Loss | None = None, extra: nn.Module | None = None, recipe: str = "train"
    ) -> nn.Module:
        """Train under the recipe in that role, going on from a checkpoint that a killed run left."""
        if f"recipe:{recipe}" not in self._work.spec.parts:
            raise TechniqueError(f"fit() was asked for recipe '{recipe}', which the technique's `roles` do not name.")
        chosen = self._work.recipe(recipe)
        number = len(self.histories)
        torch.set_num_threads(chosen.threads)
        torch.manual_seed(self.seed * 1000 + number)
        moved = extra.to(self.device) if extra is not None else None
        # channels last: 0.75 of the time of a ResNet-20 step on a CPU, and never slower where it was tried
        placed = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        training = Training(placed, chosen, self._examples(chosen), loss, moved)
        history = self._run(training, self._work.out / f"{CHECKPOINT}{number}.pt")
        self.histories.append((chosen, history))
        return model

    def _run(self, training: Training, checkpoint: Path) -> History:
        if checkpoint.exists():
            training.load(checkpoint)
            self.log.info("going on after epoch %d of a run that was stopped", training.history.epoch_count)
        saved = time.monotonic()

        def after_epoch(training: Training) -> None:
            nonlocal saved
            history, epochs = training.history, training.recipe.epochs
            validation = f", validation {history.validation_by_epoch[-1]:.4f}" if history.validation_by_epoch else ""
            self.log.info("epoch %d of %d: %s%s", history.epoch_count, epochs, history.terms_by_epoch[-1], validation)
            self._work.progress(history.epoch_count / epochs)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                training.save(checkpoint)
                saved = time.monotonic()

        return training.run(after_epoch)

    def _examples(self, recipe: Recipe) -> Examples:
        data, device = self._data, self.device
        return Examples(
            train=lambda epoch: data.epoch(recipe.batch_size, self.seed, epoch, device),
            validation=(lambda: data.in_order("validation", device)) if data.has("validation") else None,
            train_count=data.arrays.count("train"),
        )

    def teacher(self, batch: Batch) -> Tensor:
        """The teacher's logits for a batch, (B, classes), without gradients."""
        return self._answers(batch)

    @property
    def teacher_module(self) -> nn.Module:
        """The teacher, in eval mode, its parameters without gradients."""
        return self._answers.module

    @property
    def _answers(self) -> Teacher:
        if self._teacher is None:
            if "teacher" not in self._work.spec.inputs:
                raise TechniqueError("a teacher was asked for, but the technique's `needs` do not name it.")
            self._teacher = load_teacher(self._work, self._data, self.device)
        return self._teacher

    @property
    def train(self) -> Iterator[Batch]:
        """The training split once, in order, not augmented."""
        return self._data.in_order("train", self.device)

    @property
    def validation(self) -> Iterator[Batch]:
        """The validation split once, in order."""
        return self._data.in_order("validation", self.device)

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Two preprocessed training inputs."""
        return tuple(tensor[:2] for tensor in next(self.train).inputs)

    def calibration(self, sample_count: int) -> Sequence[dict[str, np.ndarray]]:
        """Preprocessed training inputs by input name, batch 1 each, drawn with this seed."""
        count = self._data.arrays.count("train")
        if sample_count > count:
            raise DataError(
                f"calibration asks for {sample_count} samples, but the training split has {count}; ask for fewer."
            )
        chosen = np.random.default_rng([self.seed, 0xCA1]).choice(count, sample_count, replace=False)
        arrays = [
            preprocess_array(array[np.sort(chosen)], self.task.preprocessing)
            for array in self._data.arrays.inputs("train")
        ]
        return [
            {name: array[i : i + 1] for name, array in zip(self.task.input_names, arrays, strict=True)}
            for i in range(sample_count)
        ]

    def training_facts(self) -> list[Fact]:
        """One training record for each fit; the teacher's live passes are counted in the last."""
        live = self._teacher.forward_count if self._teacher else 0
        last = len(self.histories) - 1
        return [
            training_fact(recipe, history, self.device, live if number == last else 0)
            for number, (recipe, history) in enumerate(self.histories)
        ]

    def clean(self) -> None:
        """Remove what only a resumed run would need."""
        self._work.remove(f"{CHECKPOINT}{number}.pt" for number in range(len(self.histories)))


def plain_arithmetic() -> None:
    """One thread unless a recipe says more; on a GPU deterministic kernels, and fp32 that is not TF32."""
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False


def training_fact(recipe: Recipe, history: History, device: torch.device, teacher_forward_count: int) -> Fact:
    """The own fields of a training record."""
    fields: dict[str, Any] = dataclasses.asdict(history)
    return {
        "kind": "training",
        **{name: value for name, value in fields.items() if value != []},
        "epoch_count": history.epoch_count,
        "selection": recipe.select,
        "device": str(device),
        "recipe": recipe.to_fields(),
        "teacher_forward_count": teacher_forward_count,
    }
