"""A digest of a place changes with what lies there, and with nothing else."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.contents import content_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "3.wav").write_text("3")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "apart")
    (tmp_path / "data" / "a" / "back").symlink_to(tmp_path / "data")
    return tmp_path / "data"


CHANGES: dict[str, Callable[[Path], object]] = {
    "another size": lambda root: (root / "a" / "1.wav").write_text("longer than before"),
    "another time": lambda root: os.utime(root / "a" / "1.wav", ns=(5, 5)),
    "another name": lambda root: (root / "a" / "1.wav").rename(root / "a" / "0.wav"),
    "one more": lambda root: (root / "b" / "2.wav").write_text("new"),
    "one fewer": lambda root: (root / "b" / "1.wav").unlink(),
    "behind a link": lambda root: (root / "linked" / "4.wav").write_text("4"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_s_digest_changes_with_every_file(folder: Path, change: str) -> None:
    before = content_digest(folder)
    assert before == content_digest(folder)
    CHANGES[change](folder)
    assert content_digest(folder) != before


def test_hidden_files_byte_code_and_results_are_nobody_s_data(folder: Path) -> None:
    before = content_digest(folder)
    for name in (
        ".cache/x",
        "__pycache__/a.pyc",
        "results/run/records.jsonl",
        "results/run/models/a.onnx",
        "a/.DS_Store",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert content_digest(folder) == before


def test_a_copy_that_keeps_times_has_the_same_digest(folder: Path) -> None:
    shutil.copytree(folder / "a", folder.parent / "copy", symlinks=True)
    (folder / "a" / "back").unlink()
    (folder.parent / "copy" / "back").unlink()
    assert content_digest(folder.parent / "copy") == content_digest(folder / "a")


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    place = tmp_path / "w.pt"
    place.write_bytes(b"12")
    before = content_digest(place)
    os.utime(place, ns=(5, 5))
    assert content_digest(place) == before
    place.write_bytes(b"13")
    assert content_digest(place) != before


def test_what_cannot_be_read_or_means_everything_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home" / "work")
    os.mkfifo(tmp_path / "pipe")
    for place in ("absent", "..", "/", str(tmp_path), str(tmp_path / "pipe"), "a\0b"):
        assert content_digest(Path(place)) is None
    assert content_digest(Path()) is not None
