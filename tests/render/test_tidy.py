"""The frame of measurements: one row each, types by the units in the names, the same from every file it is kept in."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from folders import STEPS, Folder
from pandas.testing import assert_frame_equal

import kdbench
from kdbench.cli import cli
from kdbench.errors import KdbenchError
from kdbench.render.report.tidy import write_frame

Build = Callable[..., Folder]


@pytest.fixture
def results(folder: Build) -> Path:
    steps = {"from-scratch": [], 'a "b", c\nd': STEPS["soft"]}
    return folder(steps=steps, memory=True, without_latency=frozenset({"from-scratch"})).write()


def test_a_row_is_a_case_seed_target_and_batch_size(results: Path) -> None:
    table = kdbench.load(results)
    assert not table.duplicated(["case", "seed", "target", "batch_size"]).any()
    assert len(table) == (1 + 3 + 3) * 2
    assert table["onnx_bytes"].dtype == "Int64"
    assert table["latency_p50_ns"].dtype == "float64"
    assert table.loc[table.case == "from-scratch", "latency_p50_ns"].isna().all()
    assert table.groupby("case").onnx_bytes.max()["teacher"] == 1_210_000


def test_csv_and_parquet_give_back_the_same_frame(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = kdbench.load(results)
    write_frame(table, tmp_path / "t.csv")
    write_frame(table, tmp_path / "t.parquet")
    assert_frame_equal(pd.read_csv(tmp_path / "t.csv", dtype=dict(table.dtypes)), table)
    assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet").astype(dict(table.dtypes)), table)


def test_load_prints_csv_and_writes_the_file_it_is_given(results: Path, tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["load", str(results)])
    assert printed.output.splitlines()[0].startswith("suite,case,family,seed,target,batch_size,")
    written = CliRunner().invoke(cli, ["load", str(results), "-o", str(tmp_path / "t.csv")])
    assert written.output == f"14 measurements: {tmp_path / 't.csv'}\n"
    assert (tmp_path / "t.csv").read_text() == printed.output


def test_a_file_of_another_kind_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(KdbenchError, match=r"is neither \.csv nor \.parquet"):
        write_frame(kdbench.load(results), tmp_path / "t.xlsx")


def test_importing_kdbench_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import kdbench; print(sorted(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "['kdbench']\n"
