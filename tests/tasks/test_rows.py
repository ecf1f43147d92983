import multiprocessing
import resource
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdbench.tasks import rows
from kdbench.tasks.array_files import ArrayFiles
from kdbench.tasks.arrays import write_split
from kdbench.tasks.image_folder import ImageFolder
from kdbench.tasks.rows import Rows
from kdbench.tasks.table import Table
from kdbench.tasks.text_file import TextFile

SIZE, COUNT = 256, 500
SPARE_BYTES = 40 * 2**20
"""What a child may take beside what it began with; the training images that it decodes take more than twice as much."""


def test_rows_are_saved_as_numpy_saves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_BYTES", 50)
    places = np.array([4, 0, 0, 6])
    for dtype in (np.uint8, np.float32, np.dtype(">i4")):
        array = np.arange(7 * 3 * 5).reshape(7, 3, 5).astype(dtype)
        Rows(array, places).save(tmp_path / "ours.npy")
        np.save(tmp_path / "numpys.npy", array[places])
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()


def test_pieces_are_the_rows_in_order_and_none_is_larger_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_BYTES", 50)
    array = np.arange(9 * 20, dtype=np.uint8).reshape(9, 20)
    pieces = list(Rows.of(array)[np.arange(9)[::-1]].pieces())
    assert [len(piece) for piece in pieces] == [2, 2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(pieces), array[::-1])


def test_rows_of_rows_are_rows_of_the_array() -> None:
    array = np.arange(10)
    assert next(Rows.of(array)[np.array([2, 5, 7])][np.array([2, 0])].pieces()).tolist() == [7, 2]


def test_a_row_larger_than_a_piece_is_a_piece_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_BYTES", 3)
    assert [len(piece) for piece in Rows.of(np.zeros((2, 4))).pieces()] == [1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds memory on Linux alone")
def test_a_folder_of_images_larger_than_memory_is_decoded(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (16, 16), (200, 10, 0)).save(picture)
    for split, count in (("train", COUNT), ("test", 2)):
        for name in ("blue", "red"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count // 2):
                (tmp_path / split / name / f"{number}.png").write_bytes(picture.read_bytes())
    (tmp_path / "out").mkdir()
    assert COUNT * 3 * SIZE**2 > 2 * SPARE_BYTES
    assert _ends_well(_hold_everything) is False  # the limit holds
    assert _ends_well(_decode, tmp_path)
    train = np.load(tmp_path / "out" / "train_inputs0.npy", mmap_mode="r")
    assert train.shape == (COUNT * 9 // 10, 3, SIZE, SIZE)
    assert train[-1, :, 7, 9].tolist() == [200, 10, 0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{split}_{role}0.npy" for split in ("test", "train", "validation") for role in ("inputs", "targets")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds memory on Linux alone")
@pytest.mark.parametrize("kind", ["folder", "npz", "rows", "table", "text"])
def test_files_larger_than_memory_are_decoded(kind: str, tmp_path: Path) -> None:
    if kind == "text":
        pytest.importorskip("tokenizers")
    fields = FILES[kind](tmp_path)
    (tmp_path / "out").mkdir()
    assert _ends_well(_decode_files, tmp_path / "out", fields)
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]


def _arrays(folder: Path) -> dict[str, Any]:
    """Numbers of twice the width that they are stored in, and 96 MB of them."""
    folder.joinpath("arrays").mkdir()
    array = np.lib.format.open_memmap(folder / "arrays" / "x.npy", "w+", np.float64, (2000, 3, 50, 40))
    array[:, 1] = np.arange(40)
    array.flush()
    np.save(folder / "arrays" / "y.npy", np.arange(2000) % 2)
    outputs = {"y": {"kind": "classes"}}
    return {"file": str(folder / "arrays"), "inputs": {"x": {"standardize": True}}, "outputs": outputs}


def _packed(folder: Path) -> dict[str, Any]:
    fields = _arrays(folder)
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("x.npy", "y.npy"):
            archive.write(folder / "arrays" / name, name)
    return {**fields, "file": str(folder / "a.npz")}


def _unequal_rows(folder: Path) -> dict[str, Any]:
    """Examples of unequal length in rows of one size."""
    fields = _arrays(folder)
    (folder / "arrays" / "x.npy").unlink()
    array = np.lib.format.open_memmap(folder / "arrays" / "x.npy", "w+", np.float32, (2000, 150, 80))
    array[:, :, 1] = 1
    array.flush()
    np.save(folder / "arrays" / "x_lengths.npy", 100 + np.arange(2000) % 50)
    return {**fields, "inputs": {"x": {"axes": ["time", 80], "standardize": True}}}


def _table(folder: Path) -> dict[str, Any]:
    """Two columns of texts and ten of numbers, whose fields alone would take more as Python's texts."""
    row = [f"{number}.5" for number in range(10)]
    with open(folder / "t.csv", "w") as file:
        file.write(",".join([*"abcdefghij", "town", "label"]) + "\n")
        for place in range(70_000):
            file.write(",".join([*row, f"town {place % 50}", "yes" if place % 3 else "no"]) + "\n")
    return {"file": str(folder / "t.csv"), "target": "label"}


def _texts(folder: Path) -> dict[str, Any]:
    """1.6 million tokens, of which a tokenizer says some hundred bytes each."""
    words = " ".join(f"word{number % 200}" for number in range(900))
    with open(folder / "t.tsv", "w") as file:
        file.write("text\tlabel\n")
        file.writelines(f"{number} {words}\t{number % 2}\n" for number in range(900))
    return {"file": str(folder / "t.tsv"), "vocabulary": 300, "max_length": 512}


FILES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "folder": _arrays,
    "npz": _packed,
    "rows": _unequal_rows,
    "table": _table,
    "text": _texts,
}


def _decode(root: Path) -> None:
    ImageFolder.from_fields({"root": str(root), "image_size": SIZE}).decode(root / "out")


def _decode_files(out: Path, fields: dict[str, Any]) -> None:
    kind = ArrayFiles if "inputs" in fields else Table if "target" in fields else TextFile
    kind.from_fields(fields).decode(out)


def _hold_everything() -> None:
    np.zeros((COUNT, 3, SIZE, SIZE), np.uint8)


def _ends_well(task: Callable[..., None], *arguments: Any) -> bool:
    """Whether a process of its own does the task with SPARE_BYTES of memory; mapped files do not count."""
    child = multiprocessing.get_context("spawn").Process(target=_within_limit, args=(task, *arguments))
    child.start()
    child.join()
    return child.exitcode == 0


def _within_limit(task: Callable[..., None], *arguments: Any) -> None:
    from kdbench.tasks import _array_task, _labelled, _table_splits, _text_task, pictures  # noqa: F401  # no data

    threading.stack_size(2**19)  # 8 MiB for each thread otherwise
    status = Path("/proc/self/status").read_text()
    used = 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + SPARE_BYTES,) * 2)
    try:
        task(*arguments)
    except MemoryError:
        sys.exit(1)


def test_a_split_of_rows_is_written_beside_arrays(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(6, 2)
    write_split(tmp_path, "train", (Rows.of(array)[np.array([5, 1])], array[:2]), np.array([0, 1]))
    assert np.load(tmp_path / "train_inputs0.npy").tolist() == [[10, 11], [2, 3]]
