"""Reads CSV files: columns by name, in any order; numbers with gaps, and categories as the ids that training gave."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import (
    FOLDER,
    BadInput,
    Example,
    Examples,
    Manifest,
    answering_outputs,
    class_number,
    given_inputs,
)
from kdbench.handover.predicting.example import settings as settings_of

READS = "CSV files with a header; with the target's column they say how well the model does"
COLUMNS, FORM = "columns", "csv"
LEVELS = "task/categories.json"
USUAL = {"separator": ",", "missing": ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]}
Row = dict[str, str]


def read(path: str, manifest: Manifest) -> Examples:
    """Every row of a file. Raises BadInput where it lacks a column, or a value is none of its column."""
    columns, form = settings_of(manifest, COLUMNS), {**USUAL, **settings_of(manifest, FORM)}
    target_columns = manifest["data"]["settings"].get("target_columns", [])
    levels = _levels(columns)
    outputs = answering_outputs(manifest)
    for number, row, known in _rows(path, columns, target_columns, form):
        place = f"{path}:{number}"
        made = {
            "numbers": np.array([_number(row, one["name"], place) for one in columns["numbers"]], np.float32),
            "categories": np.array([_id(row, name, known_ones) for name, known_ones in levels.items()], np.int64),
        }
        inputs = tuple(made[one["name"]] for one in given_inputs(manifest))
        true = zip(outputs, target_columns) if known else ()
        yield Example(place, inputs, tuple(_target(row, one, names, place) for one, names in true) or None)


def _levels(columns: dict[str, Any]) -> dict[str, dict[str, int]]:
    """For each column of categories, in order, the id of each text; 0 is that of all others."""
    names = [one["name"] for one in columns["categories"]]
    if not names:
        return {}
    known = json.loads((FOLDER / LEVELS).read_text(encoding="utf-8"))
    return {name: {text: place + 1 for place, text in enumerate(known[name])} for name in names}


def _rows(
    path: str, columns: dict[str, Any], target_columns: list[list[str]], form: dict[str, Any]
) -> Iterator[tuple[int, Row, bool]]:
    """A line's number, its values by column ("" for a missing one), and whether it says the true answers."""
    needed = [one["name"] for one in (*columns["numbers"], *columns["categories"])]
    targets = [name for names in target_columns for name in names]
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=form["separator"], strict=True)
            header = [name.strip() for name in next(reader, [])]
            lacking = [name for name in needed if name not in header]
            if lacking:
                raise BadInput(
                    f"{path}:1: there is no column '{lacking[0]}'; the model needs {', '.join(needed)}, separated by "
                    f"{form['separator']!r}."
                )
            known = bool(targets) and set(targets) <= set(header)
            for fields in reader:
                if fields and len(fields) != len(header):
                    raise BadInput(f"{path}:{reader.line_num}: {len(fields)} fields, and the header has {len(header)}.")
                if fields:
                    row = {name: _present(text, form["missing"]) for name, text in zip(header, fields)}
                    yield reader.line_num, row, known and all(row[name] for name in targets)
    except OSError as error:
        raise BadInput(f"cannot read {path} ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is no UTF-8 text; save the table as CSV.") from None
    except csv.Error as error:
        raise BadInput(f"{path}:{reader.line_num}: {error}.") from None


def _present(text: str, missing: list[str]) -> str:
    stripped = text.strip()
    return "" if stripped in missing else stripped


def _number(row: Row, name: str, place: str) -> float:
    """NaN where it is missing: what stands for it is inside the model."""
    text = row[name]
    if not text:
        return float("nan")
    try:
        if "_" in text:  # Python reads 1_000 as a number, nobody else does
            raise ValueError(text)
        return float(text)
    except ValueError:
        raise BadInput(f"{place}: '{text}' is no number, and {name} is a column of numbers.") from None


def _id(row: Row, name: str, ids: dict[str, int]) -> int:
    text = row[name]
    return ids.get(text, ids.get(_name_of_number(text), 0))


def _name_of_number(text: str) -> str:
    """A number as categories and classes are named, 1.0 as 1; any other text itself."""
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() else str(value)


def _target(row: Row, one: dict[str, Any], names: list[str], place: str) -> Any:
    if one["kind"] == "values":
        return np.array([_number(row, name, place) for name in names], np.float32)
    (name,) = names
    label = row[name] if row[name] in one["class_names"] else _name_of_number(row[name])
    return class_number(label, one["class_names"], f"{place}: {name}")
