"""A recipe says how a model is trained: the budget and the optimiser, the same for every technique."""

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from kdbench.protocols.part import Part

Precision = Literal["fp32", "bf16"]


class Regularizer(Part):
    """A penalty on the weights of convolutions and linear layers, added to whatever loss trains them.

    It makes weights small where they matter least, so that pruning them afterwards costs less.
    """

    penalty: Literal["l1", "group"]
    """`l1`: the sum of absolute weights. `group`: the sum over output channels of sqrt(size) times the norm of the
    channel's weights, which empties whole channels (Yuan & Lin 2006, equation 2.1; Wen et al. 2016)."""
    weight: float = Field(gt=0)
    """What the penalty is multiplied by."""


class Recipe(Part):
    """How long and how a model is trained; every student of a suite gets the same one."""

    epochs: int = Field(gt=0, le=1_000_000)
    """How often the training split is gone through."""
    batch_size: int = Field(64, gt=0)
    """Examples in one step of the optimizer."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """`sgd`: stochastic gradient descent with `momentum`; `adamw`: Adam with decoupled weight decay."""
    learning_rate: float = Field(0.05, gt=0)
    """The rate before the schedule changes it."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """SGD's momentum. AdamW keeps its own two moments (0.9, 0.999)."""
    nesterov: bool = False
    """Whether SGD's momentum is Nesterov's."""
    weight_decay: float = Field(5e-4, ge=0)
    """How strongly the weights that `decay` names are drawn to zero."""
    decay: Literal["all", "matrices"] = "all"
    """`all`: weight decay on every parameter, biases and BatchNorm included, as the field's CIFAR protocols have it;
    `matrices`: not on vectors (biases and normalisations), as is usual for transformers."""
    clip_norm: float | None = Field(None, gt=0)
    """The largest norm of the gradient of all parameters together; a longer one is shortened to it. None: any."""
    schedule: Literal["steps", "cosine", "linear"] = "steps"
    """`steps`: the rate is multiplied by `step_factor` after each epoch in `steps_down`; `cosine`, `linear`: it
    falls to zero along half a cosine, or a line."""
    steps_down: tuple[int, ...] = ()
    """Epochs, counted from 1 and rising, after which schedule `steps` lowers the rate."""
    step_factor: float = Field(0.1, gt=0, lt=1)
    """What the rate is multiplied by at each of `steps_down`."""
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs over which the rate rises linearly from zero."""
    select: Literal["last", "validation"] = "last"
    """Which weights leave the training: the last epoch's, or those of the (first) epoch best on validation."""
    stop_at: float | None = None
    """Stop once the task's metric on validation is as good as this, in its own unit: 0.95 is an accuracy of 95 %, 2.5
    an RMSE of 2.5 MW."""
    patience: int | None = Field(None, gt=0)
    """Stop after this many epochs without a better value of the task's metric on validation."""
    precision: Precision = "fp32"
    """bf16 trains under autocast, and teachers answer under it, BatchNorm folded into the convolution before it; the
    weights stay fp32."""
    threads: int = Field(1, gt=0, le=4096)
    """CPU threads of one training. Another number gives other weights, so it is part of what identifies a training."""

    regularizer: Regularizer | None = None
    """A penalty on the weights, for every training under this recipe."""

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs optimizer sgd and momentum > 0")
        if any(step <= 0 for step in self.steps_down):
            raise ValueError(f"steps_down counts epochs from 1, got {list(self.steps_down)}")
        if list(self.steps_down) != sorted(set(self.steps_down)):
            raise ValueError(f"steps_down must rise, got {list(self.steps_down)}")
        if self.steps_down and self.schedule != "steps":
            raise ValueError(f"steps_down belongs to schedule steps, not {self.schedule}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be below epochs ({self.epochs}), got {self.warmup_epochs}")
        return self

    @property
    def needs_validation(self) -> bool:
        """Whether a validation split is needed to follow this recipe."""
        return self.select == "validation" or self.stop_at is not None or self.patience is not None

    def part(self, first: float, last: float) -> "Recipe | None":
        """This recipe over a part of its epochs: 0 is its beginning, 1 its end, beyond that it is longer.

        The borders of neighbouring parts meet: together they have the recipe's length. Milestones and warm-up shrink or
        grow with the length. A part that does not reach the end keeps its last weights and never stops early: what it
        trains is no classifier yet. None where the part has no epoch.
        """
        if (first, last) == (0.0, 1.0):
            return self
        epochs = _whole(last * self.epochs) - _whole(first * self.epochs)
        if epochs <= 0:
            return None
        scale = epochs / self.epochs
        changed: dict[str, Any] = {
            "epochs": epochs,
            "steps_down": tuple(sorted({max(1, round(step * scale)) for step in self.steps_down})),
            "warmup_epochs": self.warmup_epochs * scale,
        }
        if last < 1:
            changed |= {"select": "last", "stop_at": None, "patience": None}
        return self.model_copy(update=changed)


def _whole(epochs: float) -> int:
    """The next whole epoch, but for rounding errors."""
    return math.ceil(epochs - 1e-6)
