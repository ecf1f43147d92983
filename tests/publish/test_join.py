"""Published files of several people and machines as one results folder; and what does not belong together."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from shared_folders import HOME, HOST, Person

from kdbench.cli import cli, devices
from kdbench.errors import KdbenchError, RecordError, StoreError
from kdbench.publish import join, publish
from kdbench.publish.private import Private
from kdbench.render import render
from kdbench.results.folder import read_results
from kdbench.results.records import Latency, Score, Training
from kdbench.run.ownership import refuse_foreign

AMD = "AMD Ryzen 9 7950X 16-Core Processor"


def published(folder: Path, device: str | None = None, **fields: Any) -> Path:
    path = folder.with_suffix(".zip")
    publish(Person(folder, **fields).write(), path, device, private=Private(host=HOST, home=HOME))
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return published(tmp_path / "mine", limits={"size": {"max_bytes": 10}})


def test_two_machines_lie_side_by_side(tmp_path: Path, mine: Path) -> None:
    its = published(tmp_path / "its", cpu=AMD, speed=3, limits={"size": {"max_bytes": 10}})
    made = join([mine, its], tmp_path / "joined")
    targets = ("intel-core-i7-1365u-cpu-1t-fp32", "amd-ryzen-9-7950x-cpu-1t-fp32")
    assert made.targets == ((mine, targets[0], 2), (its, targets[1], 2))
    assert made.notes == ()
    joined = read_results(made.folder)
    assert joined.targets == targets
    assert joined.plan.devices[targets[1]].session == {"provider": "cpu", "threads_intra": 1}
    first = {record.target: record.samples_ns[0][0] for record in joined.of(Latency, "soft")}
    assert first == {targets[0]: 50_000, targets[1]: 150_000}
    assert all(joined.predictions(score) is not None for score in joined.of(Score))
    # what was trained once is told once: by the first file
    assert [record.key for record in joined.of(Training)] == ["t-Int-from-scratch", "t-Int-soft"]


def test_equal_machines_of_two_people_get_two_names(tmp_path: Path, mine: Path) -> None:
    its = published(tmp_path / "its", speed=3, limits={"size": {"max_bytes": 10}})
    made = join([mine, its], tmp_path / "joined")
    name = "intel-core-i7-1365u"
    assert [target for _, target, _ in made.targets] == [f"{name}-cpu-1t-fp32", f"{name}-2-cpu-1t-fp32"]
    assert made.notes == (f"'{its}': its {name} is called {name}-2 here, as another file has a {name}.",)


def test_cases_that_only_one_has_are_kept_and_other_limits_are_said(tmp_path: Path, mine: Path) -> None:
    its = published(tmp_path / "its", "board", speed=3, cases=("from-scratch", "soft", "hard"))
    made = join([mine, its], tmp_path / "joined")
    joined = read_results(made.folder)
    assert tuple(joined.plan.cases) == ("from-scratch", "soft", "hard")
    assert [record.target for record in joined.of(Latency, "hard")] == ["board-cpu-1t-fp32"]
    assert made.notes == (f"'{its}' has other limits than '{mine}', whose limits are kept.",)


def test_a_joined_folder_is_published_and_joined_again(tmp_path: Path, mine: Path) -> None:
    its, third = published(tmp_path / "its", "board", speed=3), published(tmp_path / "third", "phone", speed=9)
    two = join([mine, its], tmp_path / "two").folder
    publish(two, tmp_path / "two.zip")
    made = join([tmp_path / "two.zip", third], tmp_path / "three")
    assert [target.partition("-cpu")[0] for _, target, _ in made.targets] == ["intel-core-i7-1365u", "board", "phone"]


def test_a_run_does_not_write_over_what_was_joined(tmp_path: Path, mine: Path) -> None:
    joined = join([mine], tmp_path / "joined").folder
    with pytest.raises(
        StoreError, match=r"joined' was joined from published files by `kdbench merge`, and a run would"
    ):
        refuse_foreign(joined, "small")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"suite": "other"}, r"is of suite 'other', '.*mine.zip' of 'small'\.$"),
        (
            {"steps": "hard_distillation"},
            r"has another case under the name soft than .*: its steps or models differ\.$",
        ),
        ({"data": 1}, r"is of other data than .*: the test split has other true answers\.$"),
        (
            {"weights": "!"},
            r"has another model as from-scratch, seed 0 \([0-9a-f]{16}\), than '.*mine.zip' \([0-9a-f]{16}\): training "
            r"the suite again elsewhere gives other weights\. Measure the same files on both, with `kdbench bundle`\.$",
        ),
        ({"cases": ("hard",)}, r"has no model in common with '.*mine.zip'; nothing joins them\.$"),
        (
            {"speed": 1},
            r"has measurements that '.*mine.zip' has, too \(from-scratch, seed 0, on board-cpu-1t-fp32\); give",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, mine: Path, fields: dict[str, Any], said: str) -> None:
    its = published(tmp_path / "its", "board", **{"speed": 3, **fields})
    with pytest.raises(RecordError, match=rf"^'{its}' {said}"):
        join([mine, its], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_another_file_of_another_target_is_no_other_model(tmp_path: Path, mine: Path) -> None:
    """As an int8 case has, whose activations are quantized as the target wants them."""
    its = published(tmp_path / "its", "board", speed=3, target="local-cuda-1t-fp16")
    assert len(join([mine, its], tmp_path / "joined").targets) == 2


def forged(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda manifest, members: manifest.update(schema=99),
            "has records of schema 99, and this kdbench reads up to",
        ),
        (
            lambda manifest, members: manifest.update(format=9),
            "is a published file of format 9, and this kdbench reads",
        ),
        (lambda manifest, members: manifest.update(examples=3), "is damaged: its manifest is not whole ('examples')"),
        (
            lambda manifest, members: members.pop("task.json"),
            "is damaged: it does not hold the files that its manifest",
        ),
        (lambda manifest, members: members.update({"plan.json": b"{}"}), "is damaged: 'plan.json' "),
    ],
)
def test_a_file_that_was_changed_is_refused(
    tmp_path: Path, mine: Path, change: Callable[[dict[str, Any], dict[str, bytes]], object], said: str
) -> None:
    with pytest.raises(KdbenchError) as error:
        join([forged(mine, change)], tmp_path / "joined")
    assert str(error.value).startswith(f"'{mine}' {said}")


def test_a_record_cannot_name_a_place_outside_its_folder(tmp_path: Path, mine: Path) -> None:
    def elsewhere(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        text = members["records.jsonl"].replace(b"predictions/soft.npz", b"../0/../0/plan.json")
        members["records.jsonl"] = text
        manifest["files"]["records.jsonl"] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}

    with pytest.raises(StoreError, match=r"mine.zip' is damaged: '.*' is no path within a folder; save it again with"):
        join([forged(mine, elsewhere)], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_a_file_without_its_task_names_no_scratch_folder(tmp_path: Path, mine: Path) -> None:
    def without_task(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        del members["task.json"], manifest["files"]["task.json"]

    with pytest.raises(StoreError, match=rf"^'{mine}' is damaged: cannot read 'task.json'") as error:
        join([forged(mine, without_task)], tmp_path / "joined")
    assert "kdbench-merge-" not in str(error.value)


def test_what_is_no_published_file_is_said(tmp_path: Path, mine: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(StoreError, match=r"x' is no published file \(.*\); give a file of `kdbench publish`\.$"):
        join([mine, tmp_path / "x"], tmp_path / "joined")
    with pytest.raises(StoreError, match=r"^there is no '.*y'; give a file of `kdbench publish`\.$"):
        join([tmp_path / "y"], tmp_path / "joined")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(StoreError, match=r"full' is not empty; name another folder with -o\.$"):
        join([mine], tmp_path / "full")


def test_the_verb_makes_a_report_that_tells_the_machines_apart(
    tmp_path: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "report", lambda out: render(out, out / "report", ("markdown",))[0])  # no figures
    its = published(tmp_path / "its", "board", speed=3)
    said = CliRunner().invoke(cli, ["merge", str(mine), str(its), "-o", str(tmp_path / "joined")])
    assert said.exit_code == 0, said.output
    assert f"{its}: board-cpu-1t-fp32, 2 rows." in said.output
    table = (tmp_path / "joined" / "report" / "table.md").read_text(encoding="utf-8")
    assert "board, cpu, 1 thread" in table
    assert "intel-core-i7-1365u, cpu, 1 thread" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{mine}", "{mine}"], "give a results folder and the record of a device, or files of `kdbench publish`"),
        (["{folder}", "{mine}"], "is no record of a device; a published file is joined with others: kdbench publish"),
        (["{mine}", "--device", "x", "-o", "j"], "--device names the device of one record"),
        (["{folder}", "{mine}", "-o", "j"], "is a folder; make a file of it first: kdbench publish"),
    ],
)
def test_the_verb_refuses_what_it_cannot_join(tmp_path: Path, mine: Path, arguments: list[str], said: str) -> None:
    given = [text.format(mine=mine, folder=tmp_path / "mine") for text in arguments]
    result = CliRunner().invoke(cli, ["merge", *given])
    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")
