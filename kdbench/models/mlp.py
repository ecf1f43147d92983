"""The multilayer perceptron, as a declaration; its network is in `_mlp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kdbench.models.inputs import feature_count
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class MLP(Model):
    """Fully connected layers with ReLU, on any single input, flattened.

    Layers to tap: `layer1` ... `layer<depth>` (B, width), `classifier` (B, classes), or what the task's outputs have in
    the place of classes.
    """

    depth: int = Field(3, gt=0)
    """Hidden layers."""
    width: int = Field(256, gt=0)
    """Units of each hidden layer."""

    def layers(self) -> Layers:
        return Layers(embedding=f"layer{self.depth}")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for a task with several inputs."""
        from kdbench.models._mlp import mlp

        return mlp(feature_count("mlp", task), self.depth, self.width, task.outputs)
