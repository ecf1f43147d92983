"""Batches cut from the examples."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import MeasureError
from kdbench.measure.inputs import Inputs, load_inputs


def test_rotated_batches_share_no_example() -> None:
    feeds = Inputs({"x": np.arange(100)}).feeds(10)
    assert len(feeds) == 8
    assert sorted(np.concatenate([feed["x"] for feed in feeds])) == list(range(80))


def test_a_batch_larger_than_the_examples_repeats_them() -> None:
    (feed,) = Inputs({"x": np.arange(3)}).feeds(8)
    assert feed["x"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_in_order_gives_every_example_once() -> None:
    parts = [(rows.tolist(), feed["x"].tolist()) for rows, feed in Inputs({"x": np.arange(5)}).in_order(2)]
    assert parts == [([0, 1], [0, 1]), ([2, 3], [2, 3]), ([4], [4])]


@pytest.mark.parametrize("content", [b"", b"PK no zip", b"\x93NUMPY nothing"])
def test_what_is_no_npz_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inputs.npz"
    path.write_bytes(content)
    with pytest.raises(MeasureError, match=r"inputs\.npz"):
        load_inputs(str(path))


def test_a_plain_array_a_pickle_and_unequal_lengths_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(MeasureError, match=r"not an \.npz of plain arrays: File is not a zip file"):
        load_inputs(str(path))
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(MeasureError, match=r"not an \.npz of plain arrays"):
        load_inputs(str(path))
    np.savez(path, x=np.zeros(3), y=np.zeros(4))
    with pytest.raises(MeasureError, match="one common length"):
        load_inputs(str(path))


def test_a_damaged_npz_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, x=np.zeros(1000))
    whole = bytearray(path.read_bytes())
    whole[1000] ^= 255
    path.write_bytes(whole)
    with pytest.raises(MeasureError, match="Bad CRC-32"):
        load_inputs(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"gone\.npz are not .* No such file"):
        load_inputs(str(tmp_path / "gone.npz"))
