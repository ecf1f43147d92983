"""Tables, one a split, become a task's arrays: columns typed by the training rows, categories numbered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.protocols import Input, Output, TaskDescription
from kdbench.protocols.columns import CATEGORIES, NUMBERS, SETTING, CategoryColumn, NumberColumn, TableColumns
from kdbench.protocols.data import ValidationOrigin
from kdbench.ragged import Array, Index
from kdbench.tasks.arrays import write_split
from kdbench.tasks.rows import MadeRows
from kdbench.tasks.table_columns import Column, Table

COMPANION = "categories.json"
MOST_CLASSES = 20
"""Most distinct whole numbers that a target may hold to be taken for classes."""
FEW_CATEGORIES = 20
"""A column of texts may hold so many different ones however few rows there are."""
UNKNOWN = -1
TargetKind = Literal["classes", "values"]


@dataclass(frozen=True)
class Asked:
    """What a task says of its table; empty where it is left to be found."""

    targets: tuple[str, ...]
    kind: TargetKind | None = None
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    """Columns that are no input."""
    unit: str = ""
    metrics: tuple[str, ...] = ()


def write_tables(
    out: Path,
    parts: Mapping[str, Table],
    asked: Asked,
    notes: Sequence[str],
    validation_origin: ValidationOrigin,
    kept: Mapping[str, Index] | None = None,
) -> TaskDescription:
    """Write every split, and describe them. Raises DataError.

    kept: the splits and rows that are written, where they are not all; columns are described by every training row.
    """
    train = parts["train"]
    for name in (*asked.numbers, *asked.categories, *asked.unseen):
        train.column(name, "the task names")
    kinds = target_kinds(train, asked)
    types = _types(train, asked)
    columns, levels = _described(train, types)
    answers = _outputs(train, kinds, asked)
    written = parts if kept is None else {split: parts[split].taken(places) for split, places in kept.items()}
    for split, table in written.items():
        targets = tuple(_targets(table, output, names) for output, names in answers)
        write_split(out, split, _encoded(table, columns, levels), targets)
    if levels:
        (out / COMPANION).write_text(json.dumps(levels, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    guessed = [f"'{name}' was taken for {kind}" for name, kind in kinds.items()]
    said = [] if asked.kind else [f"{' and '.join(guessed)}, as its values suggest; `kind` says it otherwise."]
    return TaskDescription(
        inputs=_inputs(columns),
        outputs=tuple(output for output, _ in answers),
        example_counts={split: table.count for split, table in written.items()},
        notes=(*notes, *said),
        companions=(COMPANION,) if levels else (),
        settings={
            SETTING: columns.model_dump(mode="json"),
            "target_columns": [list(names) for _, names in answers],
        },
        validation_origin=validation_origin,
    )


def target_kinds(table: Table, asked: Asked) -> dict[str, TargetKind]:
    """What each target is, as said, else as its values suggest."""
    found: dict[str, TargetKind] = {}
    for name in asked.targets:
        column = table.column(name, "target names")
        found[name] = asked.kind or ("classes" if _looks_like_classes(column) else "values")
        if found[name] == "values" and column.numbers is None:
            raise table.error(
                name, f"must be numbers, as it is to be predicted as values, and holds {column.odd()[1]!r}."
            )
    return found


def _looks_like_classes(column: Column) -> bool:
    if column.numbers is None:
        return True
    different = np.unique(column.numbers)
    return len(different) <= MOST_CLASSES and np.array_equal(different, np.arange(len(different)))


def check_numbers(table: Table, asked: Asked) -> None:
    """Raises DataError where a column of numbers, said to be one or mostly one, holds something else."""
    for name in asked.numbers:
        column = table.column(name, "numbers names")
        if column.numbers is None and not column.missing.all():
            raise table.error(name, f"must be numbers, and holds {column.odd()[1]!r}.")
    for name in table.columns:
        column = table.column(name)
        if column.numbers is None and name not in (*asked.categories, *asked.targets, *asked.unseen):
            odd_count, odd = column.odd()
            if 0 < odd_count < table.count / 2 and len(column.different()) > FEW_CATEGORIES:
                raise table.error(
                    name, f"holds {odd!r} among numbers; mend it, or say in `missing` that it stands for none."
                )


def _types(train: Table, asked: Asked) -> dict[str, str]:
    """Column -> NUMBERS or CATEGORIES, in the table's order. Raises DataError where one can be neither."""
    others, found = (*asked.targets, *asked.unseen), dict[str, str]()
    for name in train.columns:
        if name in others:
            continue
        column = train.column(name)
        if column.missing.all():
            raise train.error(name, "has no value in any row that is trained on; name it in ignore.")
        if name in asked.categories or (column.numbers is None and _is_category(train, name, column)):
            found[name] = CATEGORIES
        else:
            found[name] = NUMBERS
    if not found:
        raise DataError(f"{train.place} has no column beside {', '.join(others)}; a model needs one to look at.")
    return found


def _is_category(train: Table, name: str, column: Column) -> bool:
    """Raises DataError for texts that hardly ever occur twice: nothing can be learnt of them."""
    different = len(column.different())
    if column.has_commas():
        raise train.error(name, "holds numbers with decimal commas; write them with points.")
    if different > max(FEW_CATEGORIES, train.count // 2):
        raise train.error(
            name,
            f"holds {different:,} different texts in {train.count:,} rows, as what names rows does; list it in "
            "ignore, or in categories if it is meant.",
        )
    return True


def _described(train: Table, types: Mapping[str, str]) -> tuple[TableColumns, dict[str, list[str]]]:
    """The columns, and of each column of categories its texts: the text at place i has the id i + 1."""
    numbers, categories = [], []
    levels: dict[str, list[str]] = {}
    for name, kind in types.items():
        if kind == NUMBERS:
            numbers.append(_number_column(name, _floats(train, name)))
        else:
            levels[name] = sorted(train.column(name).different())
            categories.append(CategoryColumn(name=name, count=len(levels[name]) + 1))
    return TableColumns(numbers=tuple(numbers), categories=tuple(categories)), levels


def _number_column(name: str, values: Array) -> NumberColumn:
    lacking = np.isnan(values)
    median = float(np.median(values[~lacking]))
    whole = np.where(lacking, median, values)
    return NumberColumn(
        name=name,
        median=median,
        mean=float(whole.mean()),
        std=float(whole.std()) or 1.0,
        missing=bool(lacking.any()),
    )


def _inputs(columns: TableColumns) -> tuple[Input, ...]:
    found = []
    if columns.numbers:
        spread = tuple(column.std for column in columns.numbers)
        found.append(Input(name=NUMBERS, axes=(len(columns.numbers),), spread=spread))
    if columns.categories:
        most = max(column.count for column in columns.categories)
        found.append(Input(name=CATEGORIES, axes=(len(columns.categories),), dtype="int64", values=most))
    return tuple(found)


def _encoded(table: Table, columns: TableColumns, levels: Mapping[str, list[str]]) -> list[MadeRows]:
    """float32 (N, F) with NaN, and int32 ids (N, C)."""
    places = {name: {text: number for number, text in enumerate(texts, 1)} for name, texts in levels.items()}

    def numbers(index: Index) -> Array:
        some = table.taken(index)
        return np.stack([_floats(some, column.name) for column in columns.numbers], 1)

    def ids(index: Index) -> Array:
        some = table.taken(index)
        names = [column.name for column in columns.categories]
        return np.stack([some.column(name, "the training rows have").numbered(places[name], 0) for name in names], 1)

    made = [(columns.numbers, np.float32, numbers), (columns.categories, np.int32, ids)]
    return [MadeRows((table.count, len(some)), np.dtype(dtype), make) for some, dtype, make in made if some]


def _floats(table: Table, name: str) -> Array:
    column = table.column(name, "the training rows have")
    if column.numbers is not None:
        if (np.abs(column.numbers) > np.finfo(np.float32).max).any():
            raise table.error(name, "holds numbers that float32 has no room for; scale them down.")
        return column.numbers
    if column.missing.all():
        return np.full(table.count, np.nan)
    raise table.error(name, f"is of numbers where it is trained on, and here it holds {column.odd()[1]!r}.")


def _outputs(train: Table, kinds: Mapping[str, TargetKind], asked: Asked) -> list[tuple[Output, tuple[str, ...]]]:
    """Outputs with their columns: one a target of classes; those of values are one, where the first of them stands."""
    values = tuple(name for name, kind in kinds.items() if kind == "values")
    alone = len(kinds) == 1 or len(values) == len(kinds)
    found: list[tuple[Output, tuple[str, ...]]] = []
    for name, kind in kinds.items():
        metrics = asked.metrics if not found else ()
        if kind == "classes":
            names = _class_names(train, name)
            title = "logits" if alone else _plain(name)
            found.append((Output(name=title, axes=(len(names),), class_names=names, metrics=metrics), (name,)))
        elif name == values[0]:
            title = "values" if alone else _plain(name)
            found.append((_values(train, values, title, asked.unit, metrics), values))
    return found


def _plain(name: str) -> str:
    """A column's name as that of an output: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name)


def _class_names(train: Table, name: str) -> tuple[str, ...]:
    column = train.column(name)
    found = sorted(column.different(), key=float if column.numbers is not None else str)
    if len(found) < 2:
        raise train.error(name, f"has one class, {found[0]!r}, in the rows that are trained on; two are needed.")
    return tuple(found)


def _values(train: Table, names: tuple[str, ...], title: str, unit: str, metrics: tuple[str, ...]) -> Output:
    rows = np.stack([_floats(train, name) for name in names], 1)
    return Output(
        name=title,
        kind="values",
        axes=(len(names),),
        value_names=names,
        unit=unit,
        mean=tuple(rows.mean(0).tolist()),
        scale=tuple(each or 1.0 for each in rows.std(0).tolist()),
        metrics=metrics,
    )


def _targets(table: Table, output: Output, names: Sequence[str]) -> Array:
    """(N,) of classes or (N, D) of values."""
    if output.kind == "values":
        return np.stack([_floats(table, name) for name in names], 1).astype(np.float32)
    (name,) = names
    number = {text: place for place, text in enumerate(output.class_names)}
    column = table.column(name, "target names")
    found = column.numbered(number, UNKNOWN)
    if (found == UNKNOWN).any():
        unknown = column.taken(np.flatnonzero(found == UNKNOWN)[:1]).different()[0]
        raise table.error(
            name, f"holds the class {unknown!r}, of which no row is trained on. {nearest(unknown, number)}"
        )
    return found


def columns_of(arrays: Mapping[str, Any]) -> dict[str, Column]:
    """Columns of numbers that lie in memory."""
    return {name: Column.of_values(np.asarray(values).tolist()) for name, values in arrays.items()}
