"""The first layers behind a table's columns: missing numbers filled, numbers scaled, categories spread out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from kdbench.models.inputs import feature_count
from kdbench.protocols import TaskDescription
from kdbench.protocols.columns import TableColumns


class Features(nn.Module):
    """numbers (B, F) with NaN where one is missing, categories (B, C) as ids -> features (B, width), float32.

    Features are the numbers, (x - mean) / std with the median for a missing one; then 1 for each missing number of a
    column that lacks some, else 0; then the categories: one-hot, id 0 (unseen in training) being all zeros, or
    embeddings of `embedding` numbers each. A table without numbers, or without categories, has one input.
    """

    median: Tensor
    mean: Tensor
    std: Tensor
    lacking: Tensor
    column: Tensor
    level: Tensor
    start: Tensor
    count: Tensor

    def __init__(self, columns: TableColumns, embedding: int | None = None) -> None:
        super().__init__()
        self.columns = columns
        numbers, counts = columns.numbers, [column.count for column in columns.categories]
        self.register_buffer("mean", torch.tensor([column.mean for column in numbers], dtype=torch.float32))
        self.register_buffer("std", torch.tensor([column.std for column in numbers], dtype=torch.float32))
        # the median as it is after scaling
        filled = [(column.median - column.mean) / column.std for column in numbers]
        self.register_buffer("median", torch.tensor(filled, dtype=torch.float32))
        lacking = [place for place, column in enumerate(numbers) if column.missing]
        self.register_buffer("lacking", torch.tensor(lacking, dtype=torch.int64))
        pairs = [(place, level) for place, count in enumerate(counts) for level in range(1, count)]
        self.register_buffer("column", torch.tensor([place for place, _ in pairs], dtype=torch.int64))
        self.register_buffer("level", torch.tensor([level for _, level in pairs], dtype=torch.int64))
        self.register_buffer("start", torch.tensor([0, *accumulate(counts)][: len(counts)], dtype=torch.int64))
        self.register_buffer("count", torch.tensor(counts, dtype=torch.int64))
        self.embedding = nn.Embedding(sum(counts), embedding) if embedding and counts else None
        spread = len(counts) * embedding if embedding else len(pairs)
        self.width = len(numbers) + len(lacking) + spread

    def forward(self, *inputs: Tensor) -> Tensor:
        given = iter(inputs)
        parts: list[Tensor] = []
        if self.columns.numbers:
            numbers = next(given)
            missing = numbers.isnan()
            parts.append(torch.where(missing, self.median, (numbers - self.mean) / self.std))
            if len(self.lacking):
                parts.append(missing[:, self.lacking].to(numbers.dtype))
        if self.columns.categories:
            parts.append(self._spread(next(given)))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _spread(self, categories: Tensor) -> Tensor:
        if self.embedding is None:
            return (categories[:, self.column] == self.level).to(self.mean.dtype)
        known = torch.where(categories < self.count, categories, 0)
        embedded: Tensor = self.embedding(known + self.start)
        return embedded.flatten(1)


def estimator_features(task: TaskDescription, inputs: Sequence[Tensor]) -> Tensor:
    """What an estimator learns from, float32 (B, F): a table's columns as features, else the task's one input, flat."""
    columns = TableColumns.of(task)
    features: Tensor = inputs[0].flatten(1) if columns is None else Features(columns)(*inputs)
    return features


def estimator_feature_count(model: str, task: TaskDescription) -> int:
    """F of `estimator_features`. Raises ModelError for a task with several inputs that is no table."""
    columns = TableColumns.of(task)
    return feature_count(model, task) if columns is None else Features(columns).width
