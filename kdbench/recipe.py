"""A recipe says how a model is trained: the budget and the optimiser, the same for every technique."""

from typing import Literal

from pydantic import Field, model_validator

from kdbench.parts import Part


class Recipe(Part):
    """How long and how a model is trained; every student of a suite gets the same one."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(64, gt=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD; AdamW keeps its own two moments (0.9, 0.999)."""
    nesterov: bool = False
    weight_decay: float = Field(5e-4, ge=0)
    """On every parameter, biases and BatchNorm included, as the field's CIFAR protocols have it."""
    schedule: Literal["steps", "cosine"] = "steps"
    """`steps`: the rate is multiplied by `step_factor` after each epoch in `steps_down`; `cosine`: it falls to zero."""
    steps_down: tuple[int, ...] = ()
    step_factor: float = Field(0.1, gt=0, lt=1)
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs over which the rate rises linearly from zero."""
    select: Literal["last", "validation"] = "last"
    """Which weights leave the training: the last epoch's, or those of the (first) epoch best on validation."""
    stop_at: float | None = Field(None, gt=0, le=1)
    """Stop once validation accuracy (0-1) reaches this."""
    patience: int | None = Field(None, gt=0)
    """Stop after this many epochs without a better validation accuracy."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 trains under autocast; the weights stay fp32."""
    threads: int = Field(1, gt=0)
    """CPU threads of one training. Part of what identifies it: one thread and two end in different weights."""

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs optimizer sgd and momentum > 0")
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
