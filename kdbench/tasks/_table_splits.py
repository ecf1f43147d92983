"""A table's rows shared out into splits, after those without a target are left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdbench.errors import DataError
from kdbench.ragged import Index
from kdbench.tasks._table_task import Asked, check_numbers, target_kinds
from kdbench.tasks.splits import as_said, at_random, by_group
from kdbench.tasks.table_columns import Table
from kdbench.tasks.table_files import read_table

if TYPE_CHECKING:
    from kdbench.tasks import table


def split_tables(task: table.Table, asked: Asked, scratch: Path) -> tuple[dict[str, Table], list[str]]:
    """Each split's rows, and sentences for the report. Raises DataError.

    scratch: a folder for what does not fit into memory.
    """
    tables, notes = {}, []
    for name, place in task.places().items():
        read = read_table(place, task.separator, task.missing, scratch)
        check_numbers(read, asked)
        tables[name], left_out = with_targets(read, asked)
        notes += left_out
    own = "train" if task.file is None else "file"
    if task.group_by is not None and len(tables) > 1:
        _check_groups_apart(task.group_by, tables)
    parts = {split: tables[own].taken(places) for split, places in _places(task, tables, own, asked).items()}
    return {**parts, **{name: found for name, found in tables.items() if name != own}}, notes


def with_targets(given: Table, asked: Asked) -> tuple[Table, list[str]]:
    """The rows that have every target, and what a reader must know of the others."""
    lacking = np.zeros(given.count, bool)
    for name in asked.targets:
        lacking |= given.column(name, "target names").missing
    if lacking.all():
        raise DataError(f"{given.place} has no row with a target.")
    if not lacking.any():
        return given, []
    rows = "1 row was" if lacking.sum() == 1 else f"{lacking.sum():,} rows were"
    return given.taken(np.flatnonzero(~lacking)), [f"{rows} left out of {given.place}, for want of a target."]


def _places(task: table.Table, tables: dict[str, Table], own: str, asked: Asked) -> dict[str, Index]:
    given = tables[own]
    if task.split_by is not None:
        said = given.column(task.split_by, "split_by names").labels
        return as_said(said, f"{given.place}: column '{task.split_by}'")
    fractions = {"validation": 0.0 if "validation" in tables else task.validation_fraction}
    if own == "file":
        fractions["test"] = task.test_fraction
    try:
        if task.group_by is not None:
            groups = given.column(task.group_by, "group_by names").ordered()
            return by_group(groups, fractions, task.split_seed)
        classes = next((name for name, kind in target_kinds(given, asked).items() if kind == "classes"), None)
        labels = None if classes is None else given.column(classes).ordered()
        return at_random(given.count, fractions, task.split_seed, labels)
    except DataError as error:
        raise error if str(error).startswith(given.place) else DataError(f"{given.place}: {error}") from None


def _check_groups_apart(column: str, tables: dict[str, Table]) -> None:
    """Raises DataError where a group has rows in two files."""
    seen: dict[str, str] = {}
    for name, given in tables.items():
        for group in sorted(given.column(column, "group_by names").different()):
            if seen.setdefault(group, name) != name:
                raise given.error(column, f"has the group '{group}' in {seen[group]} as well as in {name}.")
