from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.models import estimator_graphs
from kdbench.models.columns import Features, estimator_feature_count, estimator_features
from kdbench.protocols import Input, Output, TaskDescription
from kdbench.protocols.columns import CategoryColumn, NumberColumn, TableColumns

AGE = NumberColumn(name="age", median=40, mean=42, std=10, missing=True)
INCOME = NumberColumn(name="income", median=1000, mean=2000, std=500, missing=False)
TOWN, SEX = CategoryColumn(name="town", count=4), CategoryColumn(name="sex", count=3)


def _task(numbers: tuple[NumberColumn, ...], categories: tuple[CategoryColumn, ...]) -> TaskDescription:
    inputs = []
    if numbers:
        inputs.append(Input(name="numbers", axes=(len(numbers),)))
    if categories:
        inputs.append(Input(name="categories", axes=(len(categories),), dtype="int64", values=4))
    columns = TableColumns(numbers=numbers, categories=categories)
    return TaskDescription(
        inputs=tuple(inputs),
        outputs=(Output(axes=(2,), class_names=("a", "b")),),
        example_counts={"train": 3},
        settings={"columns": columns.model_dump(mode="json")},
    )


NUMBERS = torch.tensor([[52.0, 3000.0], [float("nan"), 500.0], [32.0, float("nan")]])
CATEGORIES = torch.tensor([[1, 2], [3, 0], [0, 1]])


def test_features_of_three_rows_by_hand() -> None:
    features = estimator_features(_task((AGE, INCOME), (TOWN, SEX)), (NUMBERS, CATEGORIES))
    assert features.tolist() == [
        # age and income in deviations from the mean, whether age is missing, town 1 to 3, sex 1 to 2
        [1, 2, 0, 1, 0, 0, 0, 1],
        [pytest.approx(-0.2), -3, 1, 0, 0, 1, 0, 0],
        [-1, -2, 0, 0, 0, 0, 1, 0],
    ]


@pytest.mark.parametrize(
    ("numbers", "categories"), [((AGE, INCOME), (TOWN, SEX)), ((AGE, INCOME), ()), ((), (TOWN, SEX))]
)
def test_an_estimators_file_makes_the_same_features(
    numbers: tuple[NumberColumn, ...], categories: tuple[CategoryColumn, ...], tmp_path: Path
) -> None:
    task = _task(numbers, categories)
    inputs = [*([NUMBERS] if numbers else []), *([CATEGORIES] if categories else [])]
    count = estimator_feature_count("linear", task)
    weights = np.eye(2, count, dtype=np.float32) + np.arange(count, dtype=np.float32)
    graph = estimator_graphs.matrix(weights, np.array([1, -1], np.float32))
    onnx.save(estimator_graphs.whole(graph, task, 20), tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    feed = {name: tensor.numpy() for name, tensor in zip(task.input_names, inputs, strict=True)}
    (got,) = OnnxruntimeSession(str(tmp_path / "m.onnx"), SessionSpec()).run_checked(feed)
    columns = TableColumns.of(task)
    assert columns is not None
    np.testing.assert_allclose(got, Features(columns)(*inputs).numpy() @ weights.T + [1, -1], rtol=1e-5)
