"""Your own table, in a CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import TaskDescription
from kdbench.protocols.data import Kind
from kdbench.tasks._splitting import Filed


class Table(Filed):
    """Rows of numbers and categories with one or more targets, in CSV (with a header) or Parquet files.

    A model gets numbers as they are, NaN where one is missing, and categories as ids. What stands for a missing number
    and how numbers are scaled is inside the network, and so in its ONNX file; categories.json says which id is what.
    """

    target: str | tuple[str, ...]
    """The column that is predicted, or several. Those of numbers are one output, each of classes is one of its own."""
    kind: Literal["classes", "values"] | None = None
    """What targets are. By default texts, truth values and whole numbers from 0 (20 at most) are classes."""
    numbers: tuple[str, ...] = ()
    """Columns that are numbers. By default those that hold nothing else."""
    categories: tuple[str, ...] = ()
    """Columns that are categories, though they hold numbers, or hardly any text twice."""
    ignore: tuple[str, ...] = ()
    """Columns that no model may see: an id, a name, what is known only afterwards."""
    missing: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
    """How a missing value is written."""
    separator: str = Field(",", min_length=1, max_length=1)
    """What stands between the fields of a CSV."""
    unit: str = ""
    """The unit of values, for sentences and tables."""
    metrics: tuple[str, ...] = ()
    """What good means for the first output: the first decides. By default the kind's own."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @model_validator(mode="after")
    def _columns_have_one_role(self) -> Self:
        if not self.targets:
            raise ValueError("target needs a column")
        roles: dict[str, str] = {}
        named = {"target": self.targets, "numbers": self.numbers, "categories": self.categories, "ignore": self.ignore}
        for role, columns in named.items():
            for column in columns:
                if column in roles:
                    raise ValueError(
                        f"the column '{column}' is named in {roles[column]} and in {role}; it is one of them"
                    )
                roles[column] = role
        return self

    def varies(self) -> bool:
        """Rows of a table all have its columns."""
        return False

    def kinds(self) -> tuple[Kind, ...]:
        """The outputs' kinds where they are said: classes are an output each, values are one."""
        if self.kind is None:
            return ()
        return ("values",) if self.kind == "values" else tuple("classes" for _ in self.targets)

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError, with the file and the column or line, where the table is not what the fields say."""
        from kdbench.tasks._table_splits import split_tables
        from kdbench.tasks._table_task import Asked, write_tables
        from kdbench.tasks.kept_groups import kept

        unseen = (*self.ignore, *(name for name in (self.split_by, self.group_by) if name is not None))
        asked = Asked(self.targets, self.kind, self.numbers, self.categories, unseen, self.unit, self.metrics)
        parts, notes = split_tables(self, asked, out)
        said = {
            split: {name: rows.column(name, "only names").labels for name in self.only} for split, rows in parts.items()
        }
        chosen = kept(self.only, said) if self.only else None
        found = write_tables(out, parts, asked, notes, self.validation_origin(), chosen)
        form = {"separator": self.separator, "missing": list(self.missing)}
        return found.model_copy(update={"settings": {**found.settings, "csv": form}})
