"""A table's columns as a task describes them and a model builds its first layers from: medians, means, categories."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from kdbench.protocols.data import TaskDescription

SETTING = "columns"
"""Where `TaskDescription.settings` has them."""
NUMBERS, CATEGORIES = "numbers", "categories"
"""Names of the two inputs of a table; a table without columns of one type has no such input."""


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str


class NumberColumn(_Column):
    """A column of numbers, given to the model as they are, NaN where one is missing."""

    median: float
    """Stands for a missing number."""
    mean: float
    std: float
    """The training split's standard deviation, missing numbers being the median; 1 for a column of one number."""
    missing: bool
    """Whether the training split lacks some, so that the model is told which are missing."""


class CategoryColumn(_Column):
    """A column of categories, given to the model as ids: 0 for one that the training split lacks, then 1, 2, ..."""

    count: int
    """How many ids there are, 0 included."""


class TableColumns(BaseModel):
    """The columns in the order in which the inputs `numbers` (B, F) and `categories` (B, C) have them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[NumberColumn, ...] = ()
    categories: tuple[CategoryColumn, ...] = ()

    @classmethod
    def of(cls, task: TaskDescription) -> Self | None:
        """The columns of a task's table; None where the task is no table."""
        found = task.settings.get(SETTING)
        return None if found is None else cls.model_validate(found)
