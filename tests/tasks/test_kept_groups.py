"""`only` keeps the examples of one group in tables, texts and arrays; all else is as of everybody."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.errors import DataError
from kdbench.protocols import Task
from kdbench.tasks.array_files import ArrayFiles
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.table import Table
from kdbench.tasks.text_file import TextFile

SITES = np.array(["north", "south"])[np.arange(60) % 2]
X = np.arange(60.0)
LABELS = np.array(["no", "yes", "so"])[np.where(SITES == "north", np.arange(60) % 3, np.arange(60) // 2 % 2)]


def table(folder: Path, only: dict[str, list[str]]) -> Task:
    with open(folder / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["x", "site", "label"], *zip(X, SITES, LABELS, strict=True)])
    return Table.from_fields({"file": str(folder / "t.csv"), "target": "label", "ignore": ["site"], "only": only})


def texts(folder: Path, only: dict[str, list[str]]) -> Task:
    with open(folder / "t.csv", "w", newline="") as file:
        words = [f"it is {round(x)}" for x in X]
        csv.writer(file).writerows([["text", "site", "label"], *zip(words, SITES, LABELS, strict=True)])
    return TextFile.from_fields({"file": str(folder / "t.csv"), "vocabulary": 300, "only": only})


def arrays(folder: Path, only: dict[str, list[str]]) -> Task:
    np.savez(folder / "t.npz", x=X.astype(np.float32), site=SITES, label=LABELS)
    inputs, outputs = {"x": {"standardize": True}}, {"label": {"kind": "classes"}}
    return ArrayFiles.from_fields({"file": str(folder / "t.npz"), "inputs": inputs, "outputs": outputs, "only": only})


Make = Callable[[Path, dict[str, Any]], Task]


@pytest.fixture(params=[table, texts, arrays])
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


def decoded(task: Task, out: Path) -> ArrayData:
    out.mkdir()
    return ArrayData.open(out, task.decode(out))


def test_a_group_has_its_own_examples_of_each_split_and_everybodys_classes_and_numbers(
    make: Make, tmp_path: Path
) -> None:
    whole = decoded(make(tmp_path, {}), tmp_path / "whole")
    parts = [decoded(make(tmp_path, {"site": [site]}), tmp_path / site) for site in ("north", "south")]
    for split in ("train", "validation", "test"):
        found = [row for part in parts for row in rows(part, split)]
        assert sorted(found) == sorted(rows(whole, split))
        assert min(part.count(split) for part in parts) >= 1
    for part in parts:
        assert part.description.class_names == whole.description.class_names
        assert part.description.inputs == whole.description.inputs


def rows(data: ArrayData, split: str) -> list[tuple[bytes, int]]:
    inputs = data.inputs(split)[0]
    targets = np.asarray(data.split(split).targets[0])
    return [(np.asarray(inputs[place]).tobytes(), int(targets[place])) for place in range(data.count(split))]


def test_the_key_tells_groups_apart_and_is_the_old_one_without(make: Make, tmp_path: Path) -> None:
    plain = make(tmp_path, {}).identity()
    assert "only" not in plain
    keys = [make(tmp_path, {"site": [site]}).identity() for site in ("north", "south")]
    assert keys[0] != keys[1]
    assert {**keys[0], "only": None} == {**plain, "only": None}


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ({"site": ["nort"]}, "no example has site 'nort'. Did you mean 'north'?"),
        ({"sit": ["north"]}, "'sit'"),
        ({"label": ["so"], "site": ["south"]}, "0 in the train split, and at least 5 examples are needed"),
    ],
)
def test_groups_that_are_not_there_or_too_small_are_refused(
    make: Make, tmp_path: Path, only: dict[str, list[str]], said: str
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError) as error:
        make(tmp_path, only).decode(tmp_path / "out")
    assert said in str(error.value)
