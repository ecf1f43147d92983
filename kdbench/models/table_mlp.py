"""The multilayer perceptron on a table's columns, as a declaration; its network is in `_table_mlp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from kdbench.errors import ModelError
from kdbench.protocols import Layers, Model, TaskDescription
from kdbench.protocols.columns import TableColumns

if TYPE_CHECKING:
    from torch import nn


class TableMLP(Model):
    """Fully connected layers with ReLU on a table's columns, which it fills in, scales and spreads out by itself.

    Its ONNX file takes numbers as they are, NaN where one is missing, and categories as ids. A missing number is the
    training split's median, with a feature that says so where the split lacks some. No hidden layer: a linear model.
    Layers to tap: `features` (B, features), `layer1`, `layer2`, ... (B, width), `classifier`.
    """

    hidden: tuple[PositiveInt, ...] = (64, 64)
    """Units of each hidden layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of each hidden layer's units that a training step leaves out."""
    embedding: int | None = Field(None, gt=0)
    """Numbers that are learnt for each category; by default categories are one-hot."""

    def layers(self) -> Layers:
        return Layers(embedding=f"layer{len(self.hidden)}" if self.hidden else "features")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for a task that is no table."""
        from kdbench.models._table_mlp import TableNetwork

        columns = TableColumns.of(task)
        if columns is None:
            raise ModelError("table_mlp takes the columns of a table, which this task does not describe; use mlp.")
        return TableNetwork(columns, task.outputs, self.hidden, self.dropout, self.embedding)
