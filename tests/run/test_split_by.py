"""A suite that is split by a column, from the command line: a folder a group, and a page that has them side by side."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import StoreError
from kdbench.results.folder import read_results
from kdbench.results.records import Score

SUITE = """
kdbench: 1
name: sites
split_by: {{site: [north, south]}}
task: {{table: {{file: {file}, target: label, ignore: [site]}}}}
recipes: {{train: {{epochs: 1}}}}
student: {{model: decision_tree}}
cases: {{from-scratch: []}}
measure: [{{provider: cpu, processes: 3, calls: 5, seconds: 0, memory: false, start: false}}]
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    """Above 0.5 means yes in the north and no in the south."""
    folder = tmp_path_factory.mktemp("sites")
    draws = np.random.default_rng(0).random(400)
    with open(folder / "t.csv", "w", newline="") as file:
        sites = [("north", "south")[place % 2] for place in range(400)]
        labels = ["yes" if (x > 0.5) == (site == "north") else "no" for x, site in zip(draws, sites, strict=True)]
        csv.writer(file).writerows([["x", "site", "label"], *zip(draws, sites, labels, strict=True)])
    (folder / "s.yaml").write_text(SUITE.format(file=folder / "t.csv"))
    command = ["run", str(folder / "s.yaml"), "-o", str(folder / "out"), "--store", str(shared_store)]
    done = subprocess.run([sys.executable, "-m", "kdbench", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


def test_students_learn_from_their_own_group_and_are_judged_on_it(out: Path) -> None:
    for site in ("north", "south"):
        (score,) = (one for one in read_results(out / site).of(Score) if one.split == "test")
        assert score.value is not None
        assert score.value > 0.9, "over both sites nothing could be said"
        assert score.example_count < 60


def test_a_verb_that_takes_one_folder_names_the_groups(out: Path) -> None:
    with pytest.raises(StoreError, match=r"has no records.jsonl; it holds those of north, south: give one of these"):
        read_results(out)


def test_groups_stand_side_by_side_on_one_page(out: Path) -> None:
    page = (out / "index.html").read_text()
    assert all(f"{site}/report/index.html" in page for site in ("north", "south"))
    assert json.loads((out / "north" / "plan.json").read_text())["suite"] == "sites-north"
