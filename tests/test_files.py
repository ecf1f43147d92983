"""Names stay in their folder, files are whole or not there, and what others made is read within limits."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import Unreadable
from kdbench.files import (
    Archive,
    read_arrays,
    regular,
    sha256_of,
    slug,
    whole_folder,
    within,
    write_archive,
    write_whole,
)

HOSTILE = ["../x", "/etc/x", "a/../../x", "..", ".", "", "a\\..\\x", "C:x", "a\0b", "-" * 300, "ä" * 200, "a\nb", "..."]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_slug_is_one_name_in_its_folder_whatever_the_text(name: str, tmp_path: Path) -> None:
    place = tmp_path / slug(name)
    place.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    assert place.parent.resolve() == tmp_path.resolve()


def test_plain_names_are_their_own_slug_and_others_never_share_one() -> None:
    assert slug("from-scratch") == "from-scratch"
    assert slug("soft/temperature=1") != slug("soft-temperature=1")
    long = "a" * 300
    assert len({slug(name) for name in [*HOSTILE, long, long + "b", "soft/temperature=1", "soft-temperature-1"]}) == 17


def test_a_path_of_a_record_stays_within_its_folder(tmp_path: Path) -> None:
    assert within(tmp_path, "models/a.onnx") == tmp_path / "models" / "a.onnx"
    (tmp_path / "link").symlink_to("/")
    for name in ["../x", "/etc/x", "a/../../x", "..", "", "a\\x", "C:x", "a//x", "link/etc"]:
        with pytest.raises(Unreadable):
            within(tmp_path, name)


def test_a_writing_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_whole(path, "first")

    def half(place: Path) -> None:
        place.write_text("hal")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert {found.name: found.read_text() for found in path.parent.iterdir()} == {"a.txt": "first"}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill_the_disk(out: Path) -> None:
        with whole_folder(out) as scratch:
            (scratch / "a").write_text("x")
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as scratch:
        (scratch / "a").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "out"):
        pass


def test_a_fifo_and_a_folder_are_refused_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        for read in (regular, sha256_of):
            with pytest.raises(OSError, match=r"it is (no regular file|a folder)"):
                read(path)
        for opened in (Archive, read_arrays):
            with pytest.raises(Unreadable):
                opened(path)


def test_an_archive_of_the_same_members_has_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"2")
    one, other = (
        write_archive(tmp_path / name, members)
        for name, members in (("1", {"a": b"1", "b": tmp_path / "b"}), ("2", {"b": b"2", "a": b"1"}))
    )
    assert one.read_bytes() == other.read_bytes()


def test_no_more_is_unpacked_than_may_be_there(tmp_path: Path) -> None:
    """A megabyte of zeros in a kilobyte."""
    path = write_archive(tmp_path / "bomb.zip", {"a": bytes(2**20)}, compressed=True)
    assert path.stat().st_size < 5000
    with Archive(path) as archive:
        with pytest.raises(Unreadable, match="'a' is larger than 100 bytes"):
            archive.read("a", 100)
        with pytest.raises(Unreadable, match="SHA-256"):
            archive.read("a", 2**20, "0" * 64)
        with pytest.raises(Unreadable, match="it lacks 'b'"):
            archive.read("b", 1)
        assert archive.read("a", 2**20) == bytes(2**20)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(Unreadable, match="twice"):
        Archive(tmp_path / "twice.zip")


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def pickled() -> bytes:
    return npz(a=np.array([{"a": 1}], dtype=object))


def huge_shape() -> bytes:
    """A header that promises 8 TB."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", file.getvalue())
    return out.getvalue()


@pytest.mark.parametrize(
    "make",
    [lambda: b"", lambda: b"text", lambda: npz(a=np.ones(9))[:-20], pickled, huge_shape],
    ids=["empty", "text", "cut", "pickle", "huge"],
)
def test_arrays_that_are_damaged_or_made_to_harm_are_one_sentence(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "a.npz").write_bytes(make())
    with pytest.raises(Unreadable) as error:
        read_arrays(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


def test_arrays_that_unpack_to_too_much_are_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(npz(a=np.zeros(10**6)))
    with pytest.raises(Unreadable, match="more than 1,000 bytes"):
        read_arrays(tmp_path / "a.npz", most_bytes=1000)
    assert read_arrays(tmp_path / "a.npz")["a"].shape == (10**6,)
