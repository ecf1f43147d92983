"""A table's columns as ONNX nodes: what `columns.Features` computes, one-hot, in front of an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from kdbench.protocols.columns import CATEGORIES, NUMBERS, TableColumns


def column_nodes(columns: TableColumns, features: str) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Nodes and constants that lead from the inputs `numbers` and `categories` to `features`, float32 (B, F)."""
    nodes: list[Any] = []
    constants: dict[str, NDArray[Any]] = {}
    parts: list[str] = []
    if columns.numbers:
        mean, std = ([getattr(column, name) for column in columns.numbers] for name in ("mean", "std"))
        filled = [(column.median - column.mean) / column.std for column in columns.numbers]
        constants |= {
            "column_mean": np.array(mean, np.float32),
            "column_std": np.array(std, np.float32),
            "column_median": np.array(filled, np.float32),
        }
        nodes += [
            helper.make_node("IsNaN", [NUMBERS], ["missing"]),
            helper.make_node("Sub", [NUMBERS, "column_mean"], ["centred"]),
            helper.make_node("Div", ["centred", "column_std"], ["scaled"]),
            helper.make_node("Where", ["missing", "column_median", "scaled"], ["filled"]),
        ]
        parts.append("filled")
    lacking = [place for place, column in enumerate(columns.numbers) if column.missing]
    if lacking:
        constants["lacking"] = np.array(lacking)
        nodes += [
            helper.make_node("Gather", ["missing", "lacking"], ["indicators"], axis=1),
            helper.make_node("Cast", ["indicators"], ["lacks"], to=TensorProto.FLOAT),
        ]
        parts.append("lacks")
    if columns.categories:
        pairs = [(place, level) for place, each in enumerate(columns.categories) for level in range(1, each.count)]
        constants |= {
            "column": np.array([place for place, _ in pairs]),
            "level": np.array([level for _, level in pairs]),
        }
        nodes += [
            helper.make_node("Gather", [CATEGORIES, "column"], ["repeated"], axis=1),
            helper.make_node("Equal", ["repeated", "level"], ["is_level"]),
            helper.make_node("Cast", ["is_level"], ["one_hot"], to=TensorProto.FLOAT),
        ]
        parts.append("one_hot")
    return [*nodes, helper.make_node("Concat", parts, [features], axis=1)], constants
