import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.protocols.columns import TableColumns
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.checks import check_targets
from kdbench.tasks.table import Table
from kdbench.testing import check_task

Row = Sequence[Any]
HEADER = ("age", "income", "town", "member", "bought")
TOWNS = ("Ulm", "Bonn", "Kiel", "")


def _rows(count: int = 60) -> list[Row]:
    """Every fifth income and every fourth town is missing."""
    return [
        (20 + at % 40, "" if at % 5 == 0 else 1000.5 * at, TOWNS[at % 4], at % 3 == 0, ("no", "yes")[at % 2])
        for at in range(count)
    ]


def _csv(folder: Path, rows: Sequence[Row] | None = None, header: Row = HEADER, name: str = "t.csv") -> str:
    with open(folder / name, "w", newline="") as file:
        csv.writer(file).writerows([header, *(_rows() if rows is None else rows)])
    return str(folder / name)


def _task(file: str | None, **fields: Any) -> Table:
    return Table.from_fields({"file": file, "target": "bought", "test_fraction": 0.25, **fields})


def _decoded(task: Table, out: Path) -> tuple[ArrayData, TaskDescription]:
    out.mkdir()
    description = task.decode(out)
    data = ArrayData.open(out, TaskDescription.model_validate_json(description.model_dump_json()))
    for split in description.example_counts:
        check_targets(data.split(split), split, description)
    return data, description


def _refused(task: Table, out: Path) -> str:
    out.mkdir(exist_ok=True)
    with pytest.raises(DataError) as refusal:
        task.decode(out)
    return str(refusal.value)


def _columns(description: TaskDescription) -> TableColumns:
    columns = TableColumns.of(description)
    assert columns is not None
    return columns


def test_numbers_stay_as_they_are_with_nan_where_one_is_missing(tmp_path: Path) -> None:
    said = ["train"] * 40 + ["test"] * 20
    rows = [(*row, which) for row, which in zip(_rows(), said, strict=True)]
    data, description = _decoded(_task(_csv(tmp_path, rows, (*HEADER, "which")), split_by="which"), tmp_path / "out")
    numbers, _ = data.inputs("test")
    np.testing.assert_array_equal(numbers[:, 0], 20 + np.arange(40, 60) % 40)
    expected = np.where(np.arange(40, 60) % 5 == 0, np.nan, 1000.5 * np.arange(40, 60)).astype(np.float32)
    np.testing.assert_array_equal(numbers[:, 1], expected)
    assert [one.preprocessing.std for one in description.inputs] == [(1.0,), (1.0,)]


def test_the_description_has_the_training_rows_median_mean_and_deviation(tmp_path: Path) -> None:
    train = _csv(tmp_path, name="train.csv")
    test = _csv(tmp_path, _rows(30), name="test.csv")
    _, description = _decoded(_task(None, train=train, test=test, validation_fraction=0), tmp_path / "out")
    age, income = _columns(description).numbers
    known = np.array([1000.5 * at for at in range(60) if at % 5])
    filled = np.where(np.arange(60) % 5 == 0, np.median(known), 1000.5 * np.arange(60))
    np.testing.assert_allclose(
        (income.median, income.mean, income.std), (np.median(known), filled.mean(), filled.std())
    )
    assert (age.missing, income.missing) == (False, True)
    assert description.inputs[0].spread == (age.std, income.std)


def test_categories_are_ids_with_0_for_what_training_did_not_see(tmp_path: Path) -> None:
    train = _csv(tmp_path, name="train.csv")
    strange = [(30, 1.0, "Genf", True, "no"), (30, 1.0, "Kiel", False, "yes"), (30, 1.0, "", "maybe", "yes")]
    test = _csv(tmp_path, strange, name="test.csv")
    data, description = _decoded(_task(None, train=train, test=test), tmp_path / "out")
    levels = json.loads((tmp_path / "out" / "categories.json").read_text())
    assert levels == {"town": ["", "Bonn", "Kiel", "Ulm"], "member": ["False", "True"]}
    assert data.inputs("test")[1].tolist() == [[0, 2], [3, 1], [1, 0]]
    assert description.companions == ("categories.json",)
    assert [column.count for column in _columns(description).categories] == [5, 3]
    assert (description.inputs[1].dtype, description.inputs[1].values) == ("int64", 5)


def test_texts_and_truth_values_are_classes_in_their_order(tmp_path: Path) -> None:
    data, description = _decoded(_task(_csv(tmp_path)), tmp_path / "out")
    assert description.class_names == ("no", "yes")
    assert {split: np.bincount(data.targets(split)).tolist() for split in data.splits} == {
        **{"train": [20, 20], "validation": [3, 3], "test": [7, 7]}
    }
    assert description.notes == ("'bought' was taken for classes, as its values suggest; `kind` says it otherwise.",)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 2] * 20, "classes"),
        ([1, 2, 3] * 20, "values"),  # years, counts, stars: not numbered from 0
        (list(range(60)), "values"),
        ([0.5, 1.5] * 30, "values"),
        (["0.0", "1"] * 30, "classes"),
        (["true", "false"] * 30, "classes"),
    ],
)
def test_the_kind_of_a_target_is_found_where_it_is_not_said(values: list[Any], kind: str, tmp_path: Path) -> None:
    rows = [(*row[:-1], value) for row, value in zip(_rows(), values, strict=True)]
    _, description = _decoded(_task(_csv(tmp_path, rows)), tmp_path / "out")
    assert description.outputs[0].kind == kind


def test_several_targets_of_values_are_one_output(tmp_path: Path) -> None:
    task = _task(_csv(tmp_path), target=["age", "income"], kind="values", unit="EUR")
    data, description = _decoded(task, tmp_path / "out")
    (output,) = description.outputs
    assert (output.value_names, output.axes, output.unit) == (("age", "income"), (2,), "EUR")
    train = data.targets("train")
    np.testing.assert_allclose(output.mean, np.asarray(train, np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(output.scale, np.asarray(train, np.float64).std(0), rtol=1e-6)
    assert "12 rows were left out of" in description.notes[0]
    assert task.kinds() == ("values",)


def test_targets_of_both_kinds_are_outputs_named_after_their_columns(tmp_path: Path) -> None:
    _, description = _decoded(_task(_csv(tmp_path), target=["bought", "age"]), tmp_path / "out")
    assert [(output.name, output.kind) for output in description.outputs] == [("bought", "classes"), ("age", "values")]


def test_columns_of_numbers_may_be_categories_and_others_be_left_out(tmp_path: Path) -> None:
    _, description = _decoded(_task(_csv(tmp_path), categories=["age"], ignore=["income"]), tmp_path / "out")
    columns = _columns(description)
    assert [column.name for column in columns.categories] == ["age", "town", "member"]
    assert description.input_names == ("categories",)


def test_parquet_holds_the_same_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [[None if value == "" else value for value in row] for row in _rows()]
    table = pyarrow.table({name: [row[at] for row in rows] for at, name in enumerate(HEADER)})
    parquet.write_table(table, tmp_path / "t.parquet")
    one, _ = _decoded(_task(str(tmp_path / "t.parquet")), tmp_path / "one")
    other, _ = _decoded(_task(_csv(tmp_path)), tmp_path / "other")
    for mine, theirs in zip(one.inputs("train"), other.inputs("train"), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_pyarrow_parquet_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = _refused(_task(str(tmp_path / "t.parquet")), tmp_path / "out")
    assert said.endswith("needs pyarrow; type: pip install 'kdbench[parquet]', or save the table as CSV.")


def test_rows_of_one_group_stay_together(tmp_path: Path) -> None:
    rows = [(*row, f"p{at // 3}") for at, row in enumerate(_rows())]
    task = _task(_csv(tmp_path, rows, (*HEADER, "patient")), group_by="patient")
    data, description = _decoded(task, tmp_path / "out")
    assert "patient" not in [column.name for column in _columns(description).categories]
    ages = [{int(age) for age in data.inputs(split)[0][:, 0]} for split in data.splits]
    assert description.example_counts == {"train": 39, "validation": 6, "test": 15}
    assert sum(map(len, ages)) < 60


def test_a_semicolon_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("a;b\n" + "".join(f"{at};{at % 2}\n" for at in range(60)))
    _, description = _decoded(_task(str(tmp_path / "s.csv"), target="b", separator=";"), tmp_path / "out")
    assert description.outputs[0].class_names == ("0", "1")
    said = _refused(_task(str(tmp_path / "s.csv"), target="b"), tmp_path / "out")
    assert said.endswith("has one column by the separator ','; say separator: ';'.")


def _changed(column: int, value: Any, where: slice = slice(None)) -> list[Row]:
    rows = [list(row) for row in _rows()]
    for row in rows[where]:
        row[column] = value
    return rows


REFUSED: dict[str, tuple[list[Row], dict[str, Any], str]] = {
    "no target": (_rows(), {"target": "buoght"}, "has no column 'buoght', which target names. Did you mean 'bought'?"),
    "no such column": (_rows(), {"ignore": ["id"]}, "has no column 'id', which the task names. Known: "),
    "no number": (_changed(0, "young", slice(3, 4)), {"numbers": ["age"]}, "'age' must be numbers, and holds 'young'."),
    "target no number": (_rows(), {"kind": "values"}, "'bought' must be numbers, as it is to be predicted as values"),
    "ids": ([(*r[:2], f"x{a}", *r[3:]) for a, r in enumerate(_rows())], {}, "as what names rows does; list it in"),
    "commas": (_changed(0, "1,5"), {}, "'age' holds numbers with decimal commas; write them with points."),
    "empty column": (_changed(0, ""), {}, "'age' has no value in any row that is trained on; name it in ignore."),
    "no targets": (_changed(4, ""), {}, "has no row with a target."),
    "one class": (_changed(4, "yes"), {}, "'bought' has one class, 'yes', in the rows that are trained on"),
    "a text among numbers": (_changed(0, "young", slice(3, 4)), {}, "'age' holds 'young' among numbers; mend it, or"),
    "too large": (_changed(0, 1e300, slice(5, 6)), {}, "'age' holds numbers that float32 has no room for"),
    "no rows": ([], {}, "t.csv' has no rows."),
    "a short row": ([*_rows(), (1, 2)], {}, "t.csv':62: 2 fields, and the header has 5."),
    "nothing left": (_rows(), {"ignore": ["age", "income", "town", "member"]}, "a model needs one to look at."),
    "one row": (_rows(1), {}, "of 1 examples leaves none for"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_file_and_the_column(case: str, tmp_path: Path) -> None:
    rows, fields, text = REFUSED[case]
    said = _refused(_task(_csv(tmp_path, rows), **fields), tmp_path / "out")
    assert text in said
    assert "t.csv'" in said


@pytest.mark.parametrize(
    ("test", "text"),
    [
        ([(30, 1.0, "Ulm", True, "maybe")], "test.csv': column 'bought' holds the class 'maybe', of which no row"),
        ([("old", 1.0, "Ulm", True, "no")], "test.csv': column 'age' is of numbers where it is trained on, and here"),
    ],
)
def test_test_rows_must_be_as_the_training_rows_are(test: list[Row], text: str, tmp_path: Path) -> None:
    files = {"train": _csv(tmp_path, name="train.csv"), "test": _csv(tmp_path, test, name="test.csv")}
    assert text in _refused(_task(None, **files), tmp_path / "out")


def test_a_column_that_test_lacks_is_refused(tmp_path: Path) -> None:
    test = _csv(tmp_path, [row[1:] for row in _rows()], HEADER[1:], "test.csv")
    files = {"train": _csv(tmp_path, name="train.csv"), "test": test}
    said = _refused(_task(None, **files), tmp_path / "out")
    assert "test.csv' has no column 'age', which the training rows have." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a,a\n1,2\n", "':1: two columns are called 'a'; rename one."),
        (b'a,b\n"1,2\n', "unexpected end of data; mend the line."),
        ("a,b\n1,ü\n".encode("latin-1"), "is not UTF-8 text; save it as UTF-8."),
        (None, "(No such file or directory); name a CSV or Parquet file."),
    ],
)
def test_files_that_are_no_tables_are_refused(text: bytes | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "t.csv").write_bytes(text)
    assert _refused(_task(str(tmp_path / "t.csv"), target="b"), tmp_path / "out").endswith(said)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"target": []}, "target needs a column"),
        ({"ignore": ["bought"]}, "the column 'bought' is named in target and in ignore"),
        ({"separator": ",,"}, "at most 1 character"),
        ({"kind": "class"}, "'classes' or 'values'"),
        ({"file": None}, "or a file each for `train` and `test`"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        _task(**{"file": "t.csv", **fields})


def test_a_table_keeps_the_contract(tmp_path: Path) -> None:
    check_task(_task(_csv(tmp_path), target=["bought", "age"]))
