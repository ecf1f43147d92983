"""The context of a technique at work: the loop, the teacher, the training split; nothing of the test split."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench import registry
from kdbench.errors import DataError, TechniqueError
from kdbench.protocols import Batch, Layers, Loss, Outputs
from kdbench.protocols.metric import Metric
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Precision, Recipe
from kdbench.stages import torch_models
from kdbench.stages._data import TaskData
from kdbench.stages._teacher import PROBABILITIES_NOTE, Teacher, load_teacher
from kdbench.stages._unlabelled import endless
from kdbench.stages.names import CHECKPOINT, UNLABELLED
from kdbench.stages.work import Fact, Work
from kdbench.streams import stream, torch_seed
from kdbench.tasks.arrays import gathered, model_inputs
from kdbench.training import Examples, History, Training, computing_in

CHECKPOINT_SECONDS = 20.0
"""Seconds between checkpoints: what a killed training loses at most, or one epoch where that is longer."""

PADDED_BATCH = 8
"""Examples of unequal length in one padded batch of a calibration."""


class StageContext:
    """`kdbench.protocols.technique.Context` over a stage's inputs."""

    def __init__(self, work: Work) -> None:
        plain_arithmetic()
        self._work = work
        self._data = TaskData.open(work)
        self.task = self._data.task
        self.seed = work.spec.seed or 0
        self.device = torch.device(work.spec.numerics.get("device", "cpu"))
        self.histories: list[tuple[Recipe, History]] = []
        self.notes: list[str] = []
        self.forward_count = 0
        """Examples that went through a network that teaches."""
        self._teachers: dict[int, Teacher] = {}
        self._precision: Precision = "fp32"
        """The precision of the training at work; whoever teaches answers in it, too."""
        self._resumed_at = 0
        """The step from which a killed training goes on."""

    @property
    def out(self) -> Path:
        return self._work.out

    @property
    def log(self) -> logging.Logger:
        return self._work.log

    def fit(
        self,
        model: nn.Module,
        loss: Loss | None = None,
        extra: nn.Module | None = None,
        recipe: str = "train",
        part: tuple[float, float] = (0.0, 1.0),
    ) -> nn.Module:
        """Train under the recipe in that role, going on from a checkpoint that a killed run left."""
        if f"recipe:{recipe}" not in self._work.spec.parts:
            raise unnamed_role(recipe)
        chosen = self._work.recipe(recipe).part(*part)
        if chosen is None:
            return model
        number = len(self.histories)
        torch.set_num_threads(chosen.threads)
        torch.manual_seed(torch_seed("training", self.seed, number))
        moved = extra.to(self.device) if extra is not None else None
        before = self.forward_count
        placed = torch_models.placed(model, self.device, self.example)
        self.forward_count = before  # a model may ask a teacher
        clock = self._work.turn.clock
        own, found = self._own_metric(), self._examples(chosen)
        training = Training(placed, chosen, self.task, found, loss, moved, clock=clock, metric=own)
        self._precision = chosen.precision
        history = self._run(training, self._work.out / f"{CHECKPOINT}{number}.pt")
        self._precision = "fp32"
        self.histories.append((chosen, history))
        return model

    def _own_metric(self) -> Metric | None:
        """The task's first metric where it comes from a file of the suite's; it travels with the stage."""
        name = self.task.outputs[0].metrics[0]
        own: Metric | None = self._work.part(name) if name in self._work.spec.parts else None
        return own

    def _run(self, training: Training, checkpoint: Path) -> History:
        if checkpoint.exists():
            training.load(checkpoint)
            self._resumed_at = training.history.epoch_count * training.steps_per_epoch
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
            train=lambda epoch: self._in_step(recipe, epoch),
            validation=(lambda: data.in_order("validation", device)) if data.has("validation") else None,
            train_count=data.arrays.count("train"),
        )

    def _in_step(self, recipe: Recipe, epoch: int) -> Iterator[Batch]:
        """An epoch's batches, each once the other stages of a group have come as far."""
        batches = self._data.epoch(recipe.batch_size, self.seed, epoch, self.device)
        for step, batch in enumerate(batches):
            self._work.turn.take(batch, (epoch, step, recipe.batch_size, recipe.precision))
            yield batch

    def teacher(self, batch: Batch, number: int = 0) -> Outputs:
        """A teacher's outputs for a batch, without gradients; what the first does not tell, the next does that can."""
        given = self._told(batch, number)
        missing = self._asked(number).missing
        if number or not missing:
            return given
        answers = {0: given}
        for place in missing:
            teller = next((n for n in range(1, self.teacher_count) if place not in self._asked(n).missing), None)
            if teller is None:
                named = self.task.outputs[place].name
                raise TechniqueError(f"no teacher of the case tells '{named}'; add one that does to its list.")
            if teller not in answers:
                answers[teller] = self._told(batch, teller)
            given = (*given[:place], answers[teller][place], *given[place + 1 :])
        return given

    def _told(self, batch: Batch, number: int) -> Outputs:
        """One teacher's own outputs."""
        before = self._asked(number).forward_count
        with computing_in(self._precision, self.device):
            outputs = self._asked(number)(batch)
        self.forward_count += self._asked(number).forward_count - before
        if self._asked(number).gives_probabilities and PROBABILITIES_NOTE not in self.notes:
            self.note(PROBABILITIES_NOTE)
        return outputs

    @property
    def teacher_count(self) -> int:
        """The number of teachers that the stage has."""
        return sum(role.partition(":")[0] == "teacher" for role in self._work.spec.inputs)

    @property
    def teacher_module(self) -> nn.Module:
        """The (first) teacher, in eval mode, its parameters without gradients."""
        return self._asked(0).module

    def _asked(self, number: int) -> Teacher:
        if number not in self._teachers:
            if number >= self.teacher_count:
                raise TechniqueError("a teacher was asked for, but the technique's `needs` do not name it.")
            self._teachers[number] = load_teacher(self._work, self._data, self.device, number)
        return self._teachers[number]

    @torch.no_grad()
    def answers(self, network: nn.Module, batch: Batch) -> Outputs:
        """A network's outputs, live and counted."""
        self.forward_count += len(batch)
        teacher = next((teacher for teacher in self._teachers.values() if teacher.is_of(network)), None)
        with computing_in(self._precision, self.device):
            given = teacher.said(batch) if teacher is not None else network.eval()(*batch.inputs)
        return F.outputs_of(given, network, len(self.task.outputs))

    def fresh(self, number: int, model: str | dict[str, Any] | None = None) -> nn.Module:
        """A network with new weights, those of seed and number only."""
        part = self._student if model is None else replace(model_part(model), inputs=self._student.inputs)
        return torch_models.fresh(part, self.task, torch_seed("weights", self.seed, number)).to(self.device)

    @property
    def _student(self) -> PartSpec:
        """The student's declaration, whatever surgery it went through."""
        if "model" in self._work.spec.parts:
            return self._work.spec.parts["model"]
        return torch_models.declaration(self._work.input("model"))

    @property
    def student_layers(self) -> Layers:
        """The layers at which the student's architecture is tapped by default."""
        return _layers(self._student)

    @property
    def teacher_layers(self) -> Layers:
        """The layers at which the first teacher's architecture is tapped by default."""
        return _layers(torch_models.declaration(self._work.input("teacher")))

    def unlabelled(self, batch_size: int) -> Iterator[Batch]:
        """The gathered images without labels, one batch a step, over and over in an order of this seed.

        A training that goes on from a checkpoint goes on in that order, too.
        """
        images = np.load(self._work.input("images") / UNLABELLED, mmap_mode="r")
        yield from endless(images, self._data, batch_size, self.seed, self.device, self._resumed_at)

    def note(self, sentence: str) -> None:
        """Keep a sentence for the reader of the results."""
        self.log.info(sentence)
        self.notes.append(sentence)

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
        return self.first.inputs

    @property
    def first(self) -> Batch:
        """The first two training examples."""
        return next(self.train).part(slice(2))

    def calibration(self, sample_count: int) -> Sequence[dict[str, np.ndarray]]:
        """Preprocessed training inputs by input name, batch 1 each, drawn with this seed.

        Where an axis varies, the same examples come once more in padded batches: ranges without padding are wrong for
        a batch that has some.
        """
        count = self._data.arrays.count("train")
        if sample_count > count:
            raise DataError(
                f"calibration asks for {sample_count} samples, but the training split has {count}; ask for fewer."
            )
        chosen = stream("calibration", self.seed).choice(count, sample_count, replace=False)
        places = [*np.sort(chosen)[:, None]]
        if self.task.axes:
            places += np.array_split(chosen, -(-len(chosen) // PADDED_BATCH))
        return [model_inputs(self.task, *gathered(self._data.arrays, "train", place)) for place in places]

    def training_facts(self) -> list[Fact]:
        """One training record for each fit; the teacher's live passes are counted in the last."""
        last = len(self.histories) - 1
        return [
            training_fact(recipe, history, self.device, self.forward_count if number == last else 0)
            for number, (recipe, history) in enumerate(self.histories)
        ]

    def clean(self) -> None:
        """Remove what only a resumed run would need."""
        self._work.remove(f"{CHECKPOINT}{number}.pt" for number in range(len(self.histories)))


def unnamed_role(recipe: str) -> TechniqueError:
    """The error, to be raised, of a technique that trains under a recipe which it does not say it trains under."""
    return TechniqueError(f"fit() was asked for recipe '{recipe}', which the technique's `roles` do not name.")


def model_part(named: str | dict[str, Any]) -> PartSpec:
    """The declaration behind a registered name, or one {name: fields}."""
    name, fields = (named, {}) if isinstance(named, str) else next(iter(named.items()))
    return spec_of("model", name, registry.resolve("model", name).from_fields(fields))


def _layers(part: PartSpec) -> Layers:
    layers: Layers = part.build().layers()
    return layers


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
