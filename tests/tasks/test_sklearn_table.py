from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from kdbench.protocols import TaskDescription
from kdbench.protocols.columns import TableColumns
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.sklearn_table import CLASSES, Friedman1, SklearnTable


def _numbers(out: Path, description: TaskDescription) -> np.ndarray:
    data = ArrayData.open(out, description)
    return np.concatenate([data.inputs(split)[0] for split in data.splits])


@pytest.mark.parametrize("name", [*CLASSES, "diabetes"])
def test_every_row_is_in_one_split_and_unscaled(name: str, tmp_path: Path) -> None:
    task = SklearnTable.from_fields({"name": name})
    description = task.decode(tmp_path)
    bunch = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    found = _numbers(tmp_path, description)
    np.testing.assert_array_equal(np.sort(found, 0), np.sort(bunch.data.astype(np.float32), 0))
    assert description.outputs[0].kind == task.kinds()[0]
    assert tuple(description.class_names) == (() if name == "diabetes" else tuple(sorted(map(str, bunch.target_names))))
    columns = TableColumns.of(description)
    assert columns is not None
    assert tuple(column.name for column in columns.numbers) == tuple(map(str, bunch.feature_names))


def test_friedman_is_the_formula_without_noise(tmp_path: Path) -> None:
    description = Friedman1(noise=0, train_count=50, validation_count=0, test_count=20).decode(tmp_path)
    assert description.example_counts == {"train": 50, "test": 20}
    data = ArrayData.open(tmp_path, description)
    a, b, c, d, e = np.asarray(data.inputs("test")[0], np.float64).T[:5]
    expected = 10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e
    np.testing.assert_allclose(np.asarray(data.targets("test"))[:, 0], expected, rtol=1e-5)
