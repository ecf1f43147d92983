"""A saved baseline: always the same bytes, the same check as its folder, and no way to write anywhere else."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gate_folders import Folder, Net, labels

from kdbench.check import check
from kdbench.check.baseline import opened, read_saved, save
from kdbench.cli import cli
from kdbench.errors import StoreError
from kdbench.results import packed
from kdbench.results.records import Failed

FAILED = Failed(kind="training", **labels("b", 0, None), reason="train: b, seed 0: loss is not finite.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Folder(tmp_path_factory.mktemp("saved") / "r", {"a": Net(), "b": Net(padding=9)}).write()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "baseline.zip"
    save(folder, path)
    return path


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, folder: Path, saved: Path) -> None:
    save(folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == saved.read_bytes()


def test_it_unpacks_to_what_was_saved_and_is_gone_afterwards(folder: Path, saved: Path) -> None:
    with opened(saved) as place:
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        assert names == sorted(read_saved(saved).files)
        assert {"plan.json", "records.jsonl", "files/a/0.onnx", "files/b/0.npz", "inputs/sample-x.npz"} <= set(names)
        assert all((place / name).read_bytes() == (folder / name).read_bytes() for name in names)
    assert not place.exists()


def test_a_check_against_it_is_that_against_its_folder(folder: Path, saved: Path) -> None:
    found = check(folder, saved)
    assert found.exit_code == 0
    assert [(row.case, row.metric) for row in found.rows] == [
        *[("a", "size"), ("b", "size"), ("a", "accuracy"), ("b", "accuracy"), ("a", "latency"), ("b", "latency")]
    ]
    assert found.reference == str(saved)


def test_a_run_in_which_something_failed_is_saved_only_when_told(tmp_path: Path) -> None:
    broken = Folder(tmp_path / "r", {"a": Net()}, extra=(FAILED,)).write()
    with pytest.raises(
        StoreError, match=r"1 failed or skipped records, the first of b, seed 0 \(train: b.*--allow-failed\.$"
    ):
        save(broken, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()
    assert save(broken, tmp_path / "b.zip", allow_failed=True).cases == ("a",)


def test_a_folder_whose_file_is_gone_is_not_saved(tmp_path: Path) -> None:
    broken = Folder(tmp_path / "r", {"a": Net()}).write()
    (broken / "files" / "a" / "0.onnx").unlink()
    with pytest.raises(StoreError, match=r"lacks the file 'files/a/0.onnx' of a, seed 0; run it again\.$"):
        save(broken, tmp_path / "b.zip")


def test_the_verbs_say_what_was_saved(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "kept" / "b.zip"
    said = CliRunner().invoke(cli, ["baseline", "save", str(folder), "-o", str(path)])
    assert said.exit_code == 0, said.output
    assert f"kdbench check NEW --against {path}" in said.output
    shown = CliRunner().invoke(cli, ["baseline", "show", str(path)]).output
    assert "suite tiny" in shown
    assert "Cases:     a, b" in shown
    assert "Targets:   local-cpu-1t-fp32" in shown


Members = dict[str, bytes]


def forged(saved: Path, path: Path, change: Callable[[dict[str, Any], Members], object]) -> Path:
    """The baseline with its manifest and members changed."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def put(name: str, data: bytes = b"x", **said: Any) -> Callable[[dict[str, Any], Members], None]:
    """A member and its line in the manifest, which may say anything of it."""

    def change(manifest: dict[str, Any], members: Members) -> None:
        members[name] = data
        true = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest["files"][name] = {**true, **said}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("../outside"), "'../outside' is no path within a folder"),
        (put("/outside"), "'/outside' is no path within a folder"),
        (put("files/../../outside"), "is no path within a folder"),
        (put("C:\\outside"), "is no path within a folder"),
        (put("files//x"), "is no path within a folder"),
        (put("x", bytes=-1), "how large 'x' is"),
        (put("x", sha256=None), "how large 'x' is"),
        (put("x", sha256="0" * 64), "'x' was changed after it was made"),
        (put("x", b"longer than said", bytes=3), "'x' is larger than 3 bytes"),
        (put("x", bytes=3), "'x' has 1 bytes, not 3"),
        (lambda manifest, members: members.update(extra=b"x"), "it does not hold the files that its manifest lists"),
        (lambda manifest, members: members.pop("plan.json"), "it does not hold the files that its manifest lists"),
        (lambda manifest, members: manifest.update(files=[]), "its manifest lists no files"),
        (lambda manifest, members: manifest.pop("suite"), "its manifest is not whole"),
        (lambda manifest, members: manifest.update(seeds="x"), "its manifest is not whole"),
        (lambda manifest, members: manifest.update(format=2), "is a baseline of format 2, and this kdbench reads"),
    ],
)
def test_what_save_did_not_write_is_refused(
    tmp_path: Path, saved: Path, change: Callable[[dict[str, Any], Members], object], message: str
) -> None:
    with pytest.raises(StoreError) as error, opened(forged(saved, tmp_path / "forged.zip", change)):
        pass
    assert message in str(error.value)
    assert str(error.value).startswith(f"'{tmp_path / 'forged.zip'}'")
    assert not list(tmp_path.parent.rglob("outside"))


def test_more_than_there_is_room_for_is_not_unpacked(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MOST_BYTES", 10_000)
    with pytest.raises(StoreError, match="more than there is room for"), opened(saved):
        pass


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_no_baseline(tmp_path: Path, saved: Path, fraction: float) -> None:
    data = saved.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(
        StoreError, match=r"is no baseline \(.*give a results folder or a file of `kdbench baseline save`"
    ):
        read_saved(tmp_path / "cut.zip")


def test_a_flipped_byte_is_found_wherever_it_lies(tmp_path: Path, saved: Path) -> None:
    data = saved.read_bytes()
    for place in range(40, len(data) - 22, len(data) // 40):  # the last 22 bytes are the archive's end, cut above
        changed = bytearray(data)
        changed[place] ^= 0xFF
        (tmp_path / "flipped.zip").write_bytes(changed)
        try:
            with opened(tmp_path / "flipped.zip") as found:
                names = read_saved(saved).files
                assert all(hashlib.sha256((found / name).read_bytes()).hexdigest() == entry["sha256"]
                           for name, entry in names.items())  # fmt: skip
        except StoreError:
            continue
