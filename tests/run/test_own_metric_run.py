"""A metric of the user's own as the task's first: it selects in training; the report, choose and check speak of it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kdbench.results.folder import read_results
from kdbench.results.records import Training

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OWN = README.partition("<!-- tested: metric -->\n```python\n")[2].partition("```")[0]
SUITE = """
kdbench: 1
name: load
task:
  array_files:
    file: {folder}/all.npz
    inputs: {{x: {{}}}}
    outputs: {{load: {{kind: values, unit: MW, metrics: ["mine.py:Worst", rmse]}}}}
recipes: {{train: {{epochs: 6, batch_size: 32, learning_rate: 0.05, select: validation}}}}
student: {{model: {{mlp: {{depth: 1, width: 16}}}}, recipe: train}}
cases: {{from-scratch: [], half: [half_precision]}}
measure: [{{provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false}}]
limits: {{"mine.py:Worst_rise": 0.5 MW}}
check: {{"mine.py:Worst": {{max_rise: 0.5 MW}}, latency: {{max_ratio: 9}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("load")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(500, 4)).astype(np.float32)
    np.savez(folder / "all.npz", x=x, load=3 * x[:, 0] - 2 * x[:, 1] + draw.normal(size=500))
    (folder / "mine.py").write_text(OWN)
    (folder / "s.yaml").write_text(SUITE.format(folder=folder))
    said = kdbench(folder, "run", "s.yaml", "-o", "out", "--store", str(shared_store))
    assert said.returncode == 0, said.stdout + said.stderr
    return folder


def kdbench(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kdbench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_training_selects_by_it(folder: Path) -> None:
    """What it gives on validation for the selected epoch is what the file gets there."""
    results = read_results(folder / "out")
    (training,) = results.of(Training, "from-scratch")
    (score,) = (one for one in results.scores("from-scratch") if one.split == "validation")
    assert score.metric == "mine.py:Worst"
    assert score.value == pytest.approx(min(training.validation_by_epoch), rel=1e-3)


def test_the_table_is_in_its_unit(folder: Path) -> None:
    table = (folder / "out" / "report" / "table.md").read_text()
    assert "| Case | Worst twenty (MW) |" in table


def test_choose_limits_it_under_its_own_name(folder: Path) -> None:
    said = json.loads(kdbench(folder, "choose", "out", "--format", "json").stdout)
    (device,) = said["devices"]
    assert device["limits"] == {"mine.py:Worst_rise": "0.5 MW"}
    assert set(device["split_value"]) == {"from-scratch", "half"}
    assert not [miss for miss in device["misses"] if miss["limit"] == "mine.py:Worst_rise"]


def test_check_holds_to_its_tolerance(folder: Path) -> None:
    said = json.loads(kdbench(folder, "check", "out", "--against", "out", "--format", "json").stdout)
    rows = [row for row in said["rows"] if row["metric"] == "mine.py:Worst"]
    found = [(row["kind"], row["label"], row["verdict"], row["limit"], row["unit"]) for row in rows]
    assert found == 2 * [("score", "worst twenty", "ok", 0.5, "MW")]
