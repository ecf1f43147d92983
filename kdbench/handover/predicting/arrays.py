"""Reads .npz files of arrays: an array (N, ...) an input by its name, and `targets` where they are known."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import BadInput, Example, Examples, Manifest, answering_outputs, given_inputs
from kdbench.handover.predicting.model import varying_axes


def read(path: str, manifest: Manifest) -> Examples:
    """Every example of a file. Raises BadInput where it is none, or lacks an input."""
    outputs, given = answering_outputs(manifest), given_inputs(manifest)
    axes = [varying_axes(manifest).get(number) for number in range(len(given))]
    try:
        with np.load(path, allow_pickle=False) as arrays:
            lacking = [one["name"] for one in given if one["name"] not in arrays]
            if lacking:
                raise BadInput(f"{path} lacks '{lacking[0]}'; it needs {', '.join(one['name'] for one in given)}.")
            columns = [stored_rows(arrays, one["name"]) for one in given]
            names = [name for number, one in enumerate(outputs) if (name := targets_name(one, number)) in arrays]
            targets = [stored_rows(arrays, name) for name in names]
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} cannot be read as an .npz ({error}).") from None
    if len({len(column) for column in (*columns, *targets)}) != 1:
        raise BadInput(f"{path}: its arrays differ in how many examples they have.")
    columns = [
        rows if axis is None else [np.moveaxis(row, 0, axis) for row in rows] for rows, axis in zip(columns, axes)
    ]
    for number in range(len(columns[0])):
        true = tuple(rows[number] for rows in targets) if targets else None
        yield Example(f"{path}[{number}]", tuple(rows[number] for rows in columns), true)


def targets_name(one: dict[str, Any], number: int) -> str:
    """The entry of an .npz that holds an output's true answers."""
    return f"targets.{one['output']}" if number else "targets"


def stored_rows(arrays: Any, name: str) -> Any:
    """An array (N, ...), or where there are offsets N arrays (length, ...) that lie end to end."""
    array = arrays[name]
    if f"{name}_offsets" not in arrays:
        return array
    borders = arrays[f"{name}_offsets"]
    return [array[begin:end] for begin, end in zip(borders[:-1], borders[1:])]
