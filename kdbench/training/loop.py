"""The one training loop: every weight that kdbench trains is trained here. Knows losses only as named terms."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import ModelError, TechniqueError, TrainingError
from kdbench.files import write_whole
from kdbench.protocols import Batch, Loss, Outputs, TaskDescription
from kdbench.protocols.metric import Metric
from kdbench.protocols.recipe import Precision, Recipe
from kdbench.training.layout import pooled_gradients_laid_out
from kdbench.training.scoring import decisive_metric, score
from kdbench.training.term_log import TermLog

Clock = Callable[[], tuple[int, int]]
"""Nanoseconds so far: by the wall's clock, and of processor time."""


def process_clock() -> tuple[int, int]:
    """The clock of a training that has its process to itself."""
    return time.perf_counter_ns(), time.process_time_ns()


@dataclass(frozen=True)
class Examples:
    """The loop's batches: those of an epoch for training, one pass over validation (or none)."""

    train: Callable[[int], Iterator[Batch]]
    validation: Callable[[], Iterator[Batch]] | None
    train_count: int


@dataclass
class History:
    """The log of a training: the fields of a training record."""

    terms_by_epoch: list[dict[str, float]] = field(default_factory=list)
    validation_by_epoch: list[float] = field(default_factory=list)
    selected_epoch: int = 0
    """The epoch (from 1) whose weights the model is left with."""
    wall_ns: int = 0
    cpu_ns: int = 0
    """Processor time of this process, all its threads."""

    @property
    def epoch_count(self) -> int:
        return len(self.terms_by_epoch)


class Training:
    """One model trained under one recipe. It holds all state, so that a checkpoint can hold all of it."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        task: TaskDescription,
        examples: Examples,
        loss: Loss | None = None,
        extra: nn.Module | None = None,
        clock: Clock = process_clock,
        metric: Metric | None = None,
    ) -> None:
        """model and extra are trained where they lie (device); extra is the technique's own and dropped by it.

        metric: what validation is judged by, where it is a user's own and so not registered.
        """
        if recipe.needs_validation and examples.validation is None:
            raise TrainingError("the recipe selects or stops on validation, but the task has no validation split.")
        self.model = model
        self.extra = extra if extra is not None else nn.Module()
        self.recipe = recipe
        self.examples = examples
        self.task = task
        self._metric = metric
        self.loss = loss or partial(F.labels_loss, task)
        self.steps_per_epoch = math.ceil(examples.train_count / recipe.batch_size)
        if not self._trained():
            raise ModelError(f"{type(model).__name__} has no weight that can be trained: none asks for a gradient.")
        self.weights = [
            module.weight for module in model.modules() if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
        ]
        """The weights that a regularizer penalises."""
        self.optimizer = _optimizer(recipe, self._trained())
        self.clock = clock
        self.history = History()
        self.best: dict[str, Tensor] | None = None

    def run(self, after_epoch: Callable[["Training"], None] = lambda training: None) -> History:
        """Train to the recipe's end; the model is left in eval mode with the weights the recipe selects."""
        while not self._finished():
            wall, cpu = self.clock()
            with pooled_gradients_laid_out(self.model):
                self._epoch()
            self._validate()
            wall_after, cpu_after = self.clock()
            self.history.wall_ns += wall_after - wall
            self.history.cpu_ns += cpu_after - cpu
            after_epoch(self)
        if self.recipe.select == "validation" and self.best is not None:
            self.model.load_state_dict(self.best)
        else:
            self.history.selected_epoch = self.history.epoch_count
        self.model.eval()
        return self.history

    @cached_property
    def metric(self) -> Metric:
        """What selection and early stopping go by."""
        return decisive_metric(self.task, self._metric)

    def _finished(self) -> bool:
        done, scores = self.history.epoch_count, self.history.validation_by_epoch
        if done >= self.recipe.epochs:
            return True
        if self.recipe.stop_at is not None and scores and self.metric.loss(self.recipe.stop_at, scores[-1]) <= 0:
            return True
        patience = self.recipe.patience
        return patience is not None and bool(scores) and done - self._first_best() >= patience

    def _epoch(self) -> None:
        """One pass over the training split. Raises TrainingError when the loss is not finite."""
        self.model.train()
        self.extra.train()
        epoch = self.history.epoch_count
        log = TermLog(epoch)
        try:
            for step, batch in enumerate(self.examples.train(epoch)):
                self._set_rate(epoch * self.steps_per_epoch + step)
                log.note(len(batch), *self._step(batch))
        finally:  # where a step fails because an earlier loss was not finite, that is what is told
            means = log.means()
        self.history.terms_by_epoch.append(means)

    def _step(self, batch: Batch) -> tuple[list[str], Tensor]:
        """The names of the loss's terms, and the terms, still on their device."""
        with computing_in(self.recipe.precision, batch.index.device):
            answer = self.model(*batch.inputs)
        terms = self._terms(batch, F.outputs_of(answer, self.model, len(self.task.outputs))) | self._penalty()
        values = torch.stack(list(terms.values()))
        total = values.sum() if len(terms) > 1 else next(iter(terms.values()))
        if not total.requires_grad:
            raise TechniqueError(
                "the loss depends on no weight that is trained: what it is made from was detached, or computed without "
                "gradients."
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._trained(), self.recipe.clip_norm)
        self.optimizer.step()
        return list(terms), values.detach()

    def _terms(self, batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        terms = self.loss(batch, outputs)
        if not isinstance(terms, dict) or not terms or not all(_is_number(term) for term in terms.values()):
            raise TechniqueError(
                f"the loss gives {_shown(terms)}, and {{name: term}} with a scalar tensor for each term was expected, "
                'for instance {"ce": cross_entropy(outputs[0], batch.targets[0])}.'
            )
        return terms

    def _penalty(self) -> dict[str, Tensor]:
        """The recipe's penalty on the model's weights, as a term of its own."""
        chosen = self.recipe.regularizer
        if chosen is None:
            return {}
        penalty = {"l1": F.l1_penalty, "group": F.group_penalty}[chosen.penalty]
        return {f"{chosen.penalty}_penalty": chosen.weight * penalty(self.weights)}

    def _trained(self) -> list[nn.Parameter]:
        """Every parameter that is trained, the technique's own modules' included."""
        return [p for module in (self.model, self.extra) for p in module.parameters() if p.requires_grad]

    def _set_rate(self, step: int) -> None:
        rate = self.recipe.learning_rate * rate_factor(self.recipe, step / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _validate(self) -> None:
        if self.examples.validation is None:
            return
        scores = self.history.validation_by_epoch
        scores.append(score(self.model, self.examples.validation(), self.metric, len(self.task.outputs)))
        if self._first_best() == len(scores):
            self.history.selected_epoch = len(scores)
            if self.recipe.select == "validation":
                self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def _first_best(self) -> int:
        """The epoch (from 1) of the best score on validation, the first among equals."""
        scores = self.history.validation_by_epoch
        best = max(scores) if self.metric.direction == "higher" else min(scores)
        return scores.index(best) + 1

    def save(self, path: Path) -> None:
        """Write everything that a later process needs to go on exactly here, whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "extra": self.extra.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": vars(self.history),
            "best": self.best,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if next(self.model.parameters()).is_cuda else [],
        }
        write_whole(path, partial(torch.save, state))

    def load(self, path: Path) -> None:
        """Go on where `save` left."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.extra.load_state_dict(state["extra"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = History(**state["history"])
        self.best = state["best"]
        torch.set_rng_state(state["random"])
        if state["cuda_random"]:
            torch.cuda.set_rng_state_all(state["cuda_random"])


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which networks compute in a precision, their weights staying as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def rate_factor(recipe: Recipe, epochs: float) -> float:
    """The factor on the learning rate after `epochs` epochs, a fraction of one included."""
    if epochs < recipe.warmup_epochs:
        return epochs / recipe.warmup_epochs
    share = (epochs - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    if recipe.schedule == "linear":
        return 1 - share
    return recipe.step_factor ** sum(epochs >= epoch for epoch in recipe.steps_down)


def _optimizer(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    given: Any = parameters
    if recipe.decay == "matrices":
        matrices, vectors = ([p for p in parameters if (p.dim() > 1) is whether] for whether in (True, False))
        given = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(given, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        given,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def _is_number(term: object) -> bool:
    return isinstance(term, Tensor) and term.dim() == 0


def _shown(terms: object) -> str:
    """The wrong part of what a loss gave, as a message names it."""
    if not isinstance(terms, dict):
        return f"a {type(terms).__name__}"
    wrong = [f"'{name}': {type(term).__name__}" for name, term in terms.items() if not _is_number(term)]
    shapes = [f" of shape {tuple(term.shape)}" for term in terms.values() if isinstance(term, Tensor) and term.dim()]
    return f"{{{wrong[0]}{shapes[0] if shapes else ''}}}" if wrong else "no term"
