import pickle
import struct
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision

from kdbench.errors import DataError
from kdbench.protocols import Task
from kdbench.registry import resolve
from kdbench.tasks.arrays import ArrayData

RNG = np.random.default_rng(0)
GREY = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
COLOUR = {"cifar10": ("cifar-10-batches-py", 10), "cifar100": ("cifar-100-python", 100)}


def _declared(name: str, root: Path, **fields: Any) -> Task:
    task: Task = resolve("task", name).from_fields({"root": str(root), **fields})
    return task


def _write_idx(path: Path, array: np.ndarray) -> None:
    """The IDX format of LeCun's page: 0, 0, type 8 (bytes), rank, sizes, numbers."""
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def _write_grey(root: Path, name: str) -> np.ndarray:
    """40 training and 10 test images, 28x28; gives the test images."""
    folder = root / GREY[name] / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 40), ("t10k", 10)):
        images = RNG.integers(0, 256, (count, 28, 28), np.uint8)
        _write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        _write_idx(folder / f"{prefix}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return images


def _write_colour(root: Path, name: str) -> np.ndarray:
    """Two images a class in each file, 32x32; gives those of the test file."""
    folder, class_count = COLOUR[name]
    dataset = getattr(torchvision.datasets, name.upper())
    (root / folder).mkdir()
    names = {dataset.meta["key"]: [f"class {number}" for number in range(class_count)]}
    (root / folder / dataset.meta["filename"]).write_bytes(pickle.dumps(names))
    for file, _ in dataset.train_list + dataset.test_list:
        rows = RNG.integers(0, 256, (2 * class_count, 3 * 32 * 32), np.uint8)
        labels = "labels" if class_count == 10 else "fine_labels"
        content = {"data": rows, labels: [number % class_count for number in range(2 * class_count)]}
        (root / folder / file).write_bytes(pickle.dumps(content))
    return rows.reshape(-1, 3, 32, 32)


@pytest.mark.parametrize("name", GREY)
def test_grey_data_sets_are_read_as_one_channel(name: str, tmp_path: Path) -> None:
    images = _write_grey(tmp_path, name)
    description = _declared(name, tmp_path, validation_fraction=0.25).decode(tmp_path)
    data = ArrayData.open(tmp_path, description)
    assert description.example_counts == {"train": 30, "validation": 10, "test": 10}
    assert description.input_shapes == ((1, 28, 28),)
    np.testing.assert_array_equal(data.inputs("test")[0][:, 0], images)
    assert data.targets("test").tolist() == list(range(10))


@pytest.mark.parametrize("name", COLOUR)
def test_colour_data_sets_keep_channels_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _write_colour(tmp_path, name)
    # torchvision compares the files' MD5 with the real ones'
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: Path(path).exists())
    description = _declared(name, tmp_path, validation_fraction=0).decode(tmp_path)
    data = ArrayData.open(tmp_path, description)
    class_count = COLOUR[name][1]
    assert description.class_names == tuple(f"class {number}" for number in range(class_count))
    assert set(description.example_counts) == {"train", "test"}
    np.testing.assert_array_equal(data.inputs("test")[0], images)
    assert data.targets("test").tolist() == list(range(class_count)) * 2


@pytest.mark.parametrize("name", [*GREY, *COLOUR])
def test_data_that_is_not_there_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    sentence = rf"^cannot read \w+ from '{tmp_path}/.*' \(.*\); set download: true, or put its files there\.$"
    with pytest.raises(DataError, match=sentence):
        _declared(name, tmp_path).identity()
    with pytest.raises(DataError, match=sentence):
        _declared(name, tmp_path).decode(tmp_path)


def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    _write_grey(tmp_path, "mnist")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    for damage in (path.read_bytes()[:5000], path.read_bytes()[:6], b"no images at all", b""):
        path.write_bytes(damage)
        with pytest.raises(DataError, match=r"^cannot read MNIST from"):
            _declared("mnist", tmp_path).decode(tmp_path)


def test_a_cifar_file_that_is_not_the_real_one_is_refused(tmp_path: Path) -> None:
    _write_colour(tmp_path, "cifar10")
    with pytest.raises(DataError, match=r"\(Dataset not found or corrupted"):
        _declared("cifar10", tmp_path).decode(tmp_path)


def test_where_the_data_lies_does_not_change_its_identity(tmp_path: Path) -> None:
    for place in ("here", "there"):
        _write_grey(tmp_path / place, "mnist")
    here, there = (_declared("mnist", tmp_path / place).identity() for place in ("here", "there"))
    fetched = _declared("mnist", tmp_path / "nowhere", download=True).identity()
    assert here == there == fetched
    assert _declared("mnist", tmp_path / "here", split_seed=1).identity() != here


def test_nothing_is_fetched_unless_asked_for() -> None:
    assert all(resolve("task", name).model_fields["download"].default is False for name in (*GREY, *COLOUR))


def test_a_download_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", offline)
    with pytest.raises(DataError, match=r"\(<urlopen error no route to host>\); check the connection\.$"):
        _declared("cifar10", tmp_path, download=True).decode(tmp_path)
