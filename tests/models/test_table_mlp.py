from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kdbench.errors import ModelError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.models.columns import Features
from kdbench.models.mlp import MLP
from kdbench.models.table_mlp import TableMLP
from kdbench.protocols import Output, TaskDescription
from kdbench.protocols.columns import TableColumns
from kdbench.stages.export import to_onnx
from kdbench.tasks._table_task import Asked, write_tables
from kdbench.tasks.table_columns import Column, Table

MISSING = ("",)
RANDOM = np.random.default_rng(0)
NUMBERS = np.where(RANDOM.random((40, 2)) < 0.2, np.nan, RANDOM.normal((5, -300), (2, 80), (40, 2)))
WHOLE = RANDOM.normal(size=40)
TOWNS = RANDOM.choice(["Ulm", "Bonn", "Kiel"], 40)


def _described(folder: Path) -> TaskDescription:
    columns = {
        "age": Column.of_values([None if np.isnan(value) else float(value) for value in NUMBERS[:, 0]]),
        "income": Column.of_values([None if np.isnan(value) else float(value) for value in NUMBERS[:, 1]]),
        "height": Column.of_values(WHOLE.tolist()),
        "town": Column.of_texts(TOWNS.tolist(), MISSING),
        "bought": Column.of_texts(["no", "yes"] * 20, MISSING),
        "price": Column.of_values((1e6 + 1e5 * WHOLE).tolist()),
    }
    table = Table("'t.csv'", columns)
    return write_tables(folder, {"train": table, "test": table}, Asked(("bought", "price")), [], "own")


def _inputs(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    numbers, categories = (np.load(folder / f"train_inputs{place}.npy") for place in range(2))
    return torch.from_numpy(numbers), torch.from_numpy(categories).long()


def test_features_are_what_scikit_learn_makes_of_the_same_columns(tmp_path: Path) -> None:
    columns = TableColumns.of(_described(tmp_path))
    assert columns is not None
    features = Features(columns)(*_inputs(tmp_path)).numpy()
    numbers = np.column_stack([NUMBERS, WHOLE])
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit_transform(numbers)
    towns = OneHotEncoder(sparse_output=False).fit_transform(TOWNS[:, np.newaxis])
    np.testing.assert_allclose(features, np.column_stack([scaled, np.isnan(NUMBERS), towns]), atol=1e-5)


def test_an_unseen_category_has_no_feature_and_shares_its_embedding(tmp_path: Path) -> None:
    columns = TableColumns.of(_described(tmp_path))
    assert columns is not None
    numbers, _ = _inputs(tmp_path)
    unseen, beyond = torch.zeros(40, 1, dtype=torch.int64), torch.full((40, 1), 99)
    assert not Features(columns)(numbers, unseen)[:, -3:].any()
    embedded = Features(columns, 4)
    assert torch.equal(embedded(numbers, unseen), embedded(numbers, beyond))
    assert embedded.width == 5 + 4


@pytest.mark.parametrize("embedding", [None, 3])
def test_the_file_takes_nan_and_ids_and_answers_as_torch_does(embedding: int | None, tmp_path: Path) -> None:
    task = _described(tmp_path)
    torch.manual_seed(0)
    network = TableMLP(hidden=(8,), embedding=embedding).build(task).eval()
    inputs = _inputs(tmp_path)
    to_onnx(network, tuple(tensor[:2] for tensor in inputs), task, tmp_path / "m.onnx", 20)
    session = OnnxruntimeSession(str(tmp_path / "m.onnx"), SessionSpec())
    for count in (1, 40):
        feed = {name: tensor[:count].numpy() for name, tensor in zip(task.input_names, inputs, strict=True)}
        expected = network(*(tensor[:count] for tensor in inputs))
        for got, wanted in zip(session.run_checked(feed), expected, strict=True):
            np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-5, atol=1e-5)
            assert np.isfinite(got).all()


def test_values_leave_the_network_in_their_own_unit(tmp_path: Path) -> None:
    task = _described(tmp_path)
    network = TableMLP(hidden=()).build(task).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    _, prices = network(*_inputs(tmp_path))
    # a network that says 0 says the training split's mean
    np.testing.assert_allclose(prices.detach(), np.full((40, 1), np.mean(1e6 + 1e5 * WHOLE)), rtol=1e-6)


def test_dropout_rests_when_the_network_answers(tmp_path: Path) -> None:
    network = TableMLP(hidden=(16,), dropout=0.5).build(_described(tmp_path))
    inputs = _inputs(tmp_path)
    assert not torch.equal(network(*inputs)[0], network(*inputs)[0])
    network.eval()
    assert torch.equal(network(*inputs)[0], network(*inputs)[0])


def test_models_and_tasks_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the task has a table's columns; use table_mlp."):
        MLP().build(_described(tmp_path))
    images = TaskDescription.classification(
        input_names=("image",), input_shapes=((1, 8, 8),), class_names=("a", "b"), example_counts={"train": 1}
    )
    with pytest.raises(ModelError, match=r"which this task does not describe; use mlp."):
        TableMLP().build(images)
    places = _described(tmp_path).model_copy(
        update={"outputs": (Output(kind="dense_classes", axes=(2, 4, 4), class_names=("a", "b")),)}
    )
    with pytest.raises(ModelError, match="of kind dense_classes"):
        TableMLP().build(places)
