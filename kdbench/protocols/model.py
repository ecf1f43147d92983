"""What a model is: an architecture as a declaration. Knows torch for type checking only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from kdbench.protocols.data import TaskDescription
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    from torch import nn


class Layers(BaseModel):
    """Where techniques tap a network unless the suite names layers: module paths, as `named_modules` has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stem: str = ""
    """What comes before the stages; its output is (B, C, H, W)."""
    stages: tuple[str, ...] = ()
    """From input to output; the output of each is a feature map (B, C, H, W)."""
    preactivations: tuple[str, ...] = ()
    """For each stage the ReLU that ends it: what goes *into* that module is the stage's pre-activation."""
    embedding: str = ""
    """Its output, flattened, is what the classifier sees: (B, D)."""


class Model(Part):
    """An architecture; `build` gives fresh weights from torch's current random state.

    It is trained again when its fields change, its code (with the modules it imports from beside it), or a file or
    folder that a field or a string in its code names: weights, a vocabulary (`Part.identity`). What `build` reads from
    anywhere else kdbench cannot know to have changed: override `identity` to say it.
    """

    form: ClassVar[Literal["torch", "estimator"]] = "torch"
    packages: ClassVar[frozenset[str]] = frozenset()
    """Distributions (beside torch) whose version changes what it learns, or its file."""

    def missing(self) -> str | None:
        """Which of its packages is not installed and how to install it, as a sentence; None where nothing is."""
        return None

    def layers(self) -> Layers:
        """Where techniques on features tap it by default; empty: the suite names the layers."""
        return Layers()

    def build(self, task: TaskDescription) -> nn.Module:
        """The network for a task: its input shapes and class count decide the first and last layer.

        Raises KdbenchError when the model cannot take such inputs.
        """
        raise TypeError(f"{type(self).__name__} has no build()")

    def pretrained(self) -> Path | None:
        """The weights file this model starts from, where it has one."""
        return None

    def publishes(self, name: str) -> bool:
        """Whether `weights: NAME` of a suite names published weights of this model, and no file."""
        return False

    def load_published(self, network: nn.Module, name: str) -> None:
        """Load published weights into a network that `build` gave. Raises KdbenchError where that cannot be done."""
        raise TypeError(f"{type(self).__name__} publishes no weights")

    def load_pretrained(self, network: nn.Module) -> None:
        """Load that file into a network that `build` gave. Raises KdbenchError where it does not fit."""
