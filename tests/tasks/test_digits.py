from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.digits import Digits


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArrayData, TaskDescription]:
    folder: Path = tmp_path_factory.mktemp("digits")
    description = Digits().decode(folder)
    return ArrayData.open(folder, description), description


def test_the_split_is_60_20_20_and_every_class_is_in_proportion(decoded: tuple[ArrayData, TaskDescription]) -> None:
    data, description = decoded
    assert description.example_counts == {"train": 1078, "validation": 362, "test": 357}
    counts = np.array([np.bincount(data.targets(split)) for split in description.example_counts])
    shares = counts / np.bincount(load_digits().target)
    assert np.abs(shares - [[0.6], [0.2], [0.2]]).max() < 1 / 150


def test_all_1797_scans_are_there_once(decoded: tuple[ArrayData, TaskDescription]) -> None:
    data, _ = decoded
    ours = [row.tobytes() for split in data.splits for row in data.inputs(split)[0]]
    theirs = [row.tobytes() for row in load_digits().images.astype(np.uint8)]
    assert sorted(ours) == sorted(theirs)


def test_the_written_mean_and_deviation_are_those_of_the_training_split(
    decoded: tuple[ArrayData, TaskDescription],
) -> None:
    data, description = decoded
    pixels = data.inputs("train")[0] / 16
    assert description.inputs[0].preprocessing.mean == (pytest.approx(pixels.mean(), abs=1e-6),)
    assert description.inputs[0].preprocessing.std == (pytest.approx(pixels.std(), abs=1e-6),)


def test_it_has_no_fields_as_its_split_is_fixed() -> None:
    assert Digits().to_fields() == {}


def test_decoding_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        Digits().decode(tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
