"""What `kdbench publish` writes: enough to make the report elsewhere, and nothing that says whose machine it was."""

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from shared_folders import HOME, HOST, Person, failure

from kdbench.cli import cli
from kdbench.errors import StoreError, UnknownName
from kdbench.publish import publish
from kdbench.publish.devices import moved_record
from kdbench.publish.private import Private
from kdbench.publish.publish import PUBLISHED
from kdbench.results import records
from kdbench.results.folder import read_results

JANE = Private(host=HOST, home=HOME)


def unpacked(path: Path, folder: Path) -> Path:
    folder.mkdir()
    PUBLISHED.unpack(path, folder)
    return folder


def test_it_holds_every_measurement_and_no_model(tmp_path: Path) -> None:
    folder = Person(tmp_path / "r").write()
    made = publish(folder, tmp_path / "p.zip", private=JANE)
    assert (made.suite, made.devices, made.targets) == (
        "small",
        ("intel-core-i7-1365u",),
        ("intel-core-i7-1365u-cpu-1t-fp32",),
    )
    assert (made.digest_count, made.answer_count, made.model_count) == (2, 2, 0)
    names = set(zipfile.ZipFile(tmp_path / "p.zip").namelist())
    assert names == {
        *("manifest.json", "records.jsonl", "plan.json", "task.json", "suite.yaml"),
        *("predictions/from-scratch.npz", "predictions/soft.npz"),
    }
    mine, its = read_results(folder), read_results(unpacked(tmp_path / "p.zip", tmp_path / "u"))
    assert [type(record) for record in its.records] == [type(record) for record in mine.records]
    (timed, *_), (same, *_) = its.of(records.Latency), mine.of(records.Latency)
    assert (timed.samples_ns, timed.target) == (same.samples_ns, "intel-core-i7-1365u-cpu-1t-fp32")
    assert its.plan.targets == ("intel-core-i7-1365u-cpu-1t-fp32",)
    assert its.plan.measure == {}


def test_nothing_in_it_says_whose_machine_it_was(tmp_path: Path) -> None:
    person = Person(tmp_path / "r", also={"note": f"on {HOST}"})
    folder = person.write()
    records.append(folder / "records.jsonl", [failure(person, f"{HOME}/env/lib/x.py: killed")])
    publish(folder, tmp_path / "p.zip", private=JANE)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        everything = "\n".join(archive.read(name).decode("latin-1") for name in archive.namelist())
    for word in ("jane", "thinkpad", "acme", "hostname_digest", "5bce98f73f3ed0c8", "sample.npz", "logs/"):
        assert word not in everything
    assert "killed" in everything
    assert "i7-1365U" in everything


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = Person(tmp_path / "r").write()
    for name in "ab":
        publish(folder, tmp_path / f"{name}.zip", private=JANE)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_models_go_along_when_asked_and_are_the_ones_that_were_measured(tmp_path: Path) -> None:
    folder = Person(tmp_path / "r", weights=f" made in {HOME}/net.py").write()
    made = publish(folder, tmp_path / "p.zip", models=True, private=JANE)
    assert made.model_count == 2
    assert made.warnings == (
        "models/from-scratch.onnx and 1 more: a model is published byte for byte, and there is the path of your home "
        "folder in it.",
    )
    (folder / "models" / "soft.onnx").write_text("changed")
    with pytest.raises(StoreError, match=r"lacks 'models/soft.onnx' of soft, seed 0, as it was measured; run"):
        publish(folder, tmp_path / "q.zip", models=True, private=JANE)


def test_answers_can_be_left_out(tmp_path: Path) -> None:
    made = publish(Person(tmp_path / "r").write(), tmp_path / "p.zip", answers=False, private=JANE)
    assert made.answer_count == 0
    its = read_results(unpacked(tmp_path / "p.zip", tmp_path / "u"))
    assert [score.predictions_path for score in its.scores()] == [None, None]


@pytest.mark.parametrize("name", ["local", "My Laptop", "../x", ""])
def test_a_name_that_cannot_be_a_devices_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownName, match=r"^--device: '.*' cannot be a device's name: up to 40 lower-case letters"):
        publish(Person(tmp_path / "r").write(), tmp_path / "p.zip", name, private=JANE)


def test_devices_that_were_merged_keep_their_names(tmp_path: Path) -> None:
    folder = Person(tmp_path / "r").write()
    own = records.read(folder / "records.jsonl")
    records.append(folder / "records.jsonl", [moved_record(record, {"local": "board"}) for record in own])
    with pytest.raises(
        UnknownName, match=r"^--device: 'board' is another device of '.*' already; give another name\.$"
    ):
        publish(folder, tmp_path / "p.zip", "board", private=JANE)
    assert publish(folder, tmp_path / "p.zip", "laptop", private=JANE).devices == ("laptop", "board")
    alone = Person(tmp_path / "s", target="board-cpu-1t-fp32").write()
    assert publish(alone, tmp_path / "q.zip", private=JANE).devices == ("board",)
    with pytest.raises(UnknownName, match=r"has targets of named devices alone; leave out --device laptop\.$"):
        publish(alone, tmp_path / "q.zip", "laptop", private=JANE)


def test_the_verb_says_what_is_in_the_file_and_what_is_not(tmp_path: Path) -> None:
    folder = Person(tmp_path / "r").write()
    said = CliRunner().invoke(cli, ["publish", str(folder), "--device", "laptop", "-o", str(tmp_path / "p.zip")])
    assert said.exit_code == 0, said.output
    assert "suite small, 2 cases on laptop-cpu-1t-fp32." in said.output
    assert "In it: 9 records; the SHA-256 of 2 models;" in said.output
    assert "Not in it: inputs; logs; the host's name; folders of paths; models (--models)." in said.output
