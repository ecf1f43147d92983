"""A bundle on a device: what it records, how it goes on, and what it refuses."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from carried import (
    KEPT,
    Ran,
    clean_environment,
    content,
    lines_of,
    repacked,
    run_as_data,
    run_bundle,
    with_manifest,
)

from kdbench.bundle import bundle
from kdbench.measure.device.command import _device
from kdbench.measure.device.record_file import read_record
from kdbench.measure.device.run import STARTS


def test_a_run_says_how_long_it_takes_and_that_answers_are_as_expected(ran: tuple[Ran, Path]) -> None:
    done, record = ran
    lines = done.said.splitlines()
    assert done.code == 0, done.said
    assert lines[0].startswith("4 models of 'small' on board-cpu-1t-fp32: about ")
    assert f"4 of 4 models answered; their {KEPT} examples have the class expected" in done.said
    assert lines[-1].endswith(f"kdbench merge RESULTS {record.name}")


def test_a_record_is_whole_and_has_every_step(record: Path) -> None:
    recorded = read_record(record)
    kinds = [step.split("/")[0] for step in recorded.steps]
    assert recorded.finished
    assert {kind: kinds.count(kind) for kind in kinds} == {"predict": 4, "prove": 1, "memory": 4, "time": 3, "start": 3}
    assert recorded.header["device"] == "board"


def test_a_run_starts_as_many_processes_as_the_bundle_said(kept_results: Path, record: Path, tmp_path: Path) -> None:
    steps = [name.split("/")[0] for name in read_record(record).steps]
    said = bundle(kept_results, tmp_path / "again.pyz").process_count
    assert said == sum(STARTS if step == "start" else 1 for step in steps)


def test_files_are_timed_together_in_equal_rounds(record: Path) -> None:
    timed = [line["answer"] for line in lines_of(record) if line.get("step", "").startswith("time/")]
    assert [answer["process"] for answer in timed] == [0, 1, 2]
    for answer in timed:
        assert {len(file["by_batch"]["2"]["samples_ns"]) for file in answer["files"]} == {20}
        assert len(answer["files"]) == 4


def test_no_name_of_the_host_and_no_path_leaves_the_device(record: Path, bundled: Path) -> None:
    text = record.read_text()
    assert "hostname" not in text
    assert str(bundled.parent) not in text
    assert tempfile.gettempdir() not in text


def test_a_device_is_called_by_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz": "intel-xeon-e5-2680-v4",
        "AMD EPYC 7B13 64-Core Processor": "amd-epyc-7b13",
        "Raspberry Pi 4 Model B Rev 1.4": "raspberry-pi-4-model-b-rev-1-4",
        "x" * 60: "x" * 40,
    }
    for told, name in names.items():
        monkeypatch.setattr("kdbench.measure.device.command.cpu_name", lambda told=told: told)
        assert _device(None) == name


def test_a_finished_run_is_not_done_again(bundled: Path, record: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(record, tmp_path))
    done = run_bundle(bundled, "--out", copy, "--device", "board")
    assert done.code == 0
    assert "holds a whole run of this bundle already" in done.said
    assert copy.read_bytes() == record.read_bytes()


def test_a_torn_run_goes_on_where_it_stopped(bundled: Path, record: Path, tmp_path: Path) -> None:
    lines = record.read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])
    done = run_bundle(bundled, "--out", torn, "--device", "board")
    assert done.code == 0, done.said
    assert "14 steps are in" in done.said
    assert torn.read_bytes().splitlines(keepends=True)[: len(lines) - 2] == lines[:-2]
    assert read_record(torn).finished
    assert read_record(torn).steps.keys() == read_record(record).steps.keys()


def test_another_device_or_setting_does_not_go_on_in_the_same_file(bundled: Path, record: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(record, tmp_path))
    done = run_bundle(bundled, "--out", copy, "--device", "other", "--threads", "2")
    assert done.code == 2
    assert "holds a run of another device, target, session" in done.said
    assert copy.read_bytes() == record.read_bytes()


def test_an_interrupted_run_keeps_what_is_finished(bundled: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped.jsonl"
    command = [sys.executable, str(bundled), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[1/"):
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
    assert process.returncode == 130
    assert (
        said.splitlines()[-1] == f"Interrupted; what is finished is in {out}, and the same command goes on from there."
    )
    assert len(read_record(out).steps) >= 1
    assert not read_record(out).finished


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "My Board"], "--device: 'My Board' cannot be a device's name"),
        (["--device", "local"], "--device: 'local' cannot be a device's name"),
        (["--provider", "opnvino"], "there is no provider 'opnvino'. Did you mean 'openvino'?"),
        (["--threads", "0"], "threads_intra must be a whole number of at least 1, got 0."),
        (["--option", "fast"], "--option: 'fast' is not NAME=VALUE."),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    bundled: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = run_bundle(bundled, "--out", tmp_path / "r.jsonl", *arguments)
    assert done.code == 2
    assert done.said.startswith(sentence)
    assert len(done.said.splitlines()) == 1
    assert not (tmp_path / "r.jsonl").exists()


def test_an_interpreter_without_numpy_is_told_what_to_install(bundled: Path, tmp_path: Path) -> None:
    done = run_bundle(bundled, "--out", tmp_path / "r.jsonl", flags=("-S",))
    assert done.code == 2
    assert "this Python has no numpy; install what is needed: " in done.said
    assert len(done.said.splitlines()) == 1


def test_a_provider_that_is_not_there_fails_every_row_and_says_so(bundled: Path, tmp_path: Path) -> None:
    out = tmp_path / "cuda.jsonl"
    done = run_bundle(bundled, "--out", out, "--provider", "cuda", "--quick")
    steps = read_record(out).steps
    assert done.code == 1
    assert "CUDAExecutionProvider" in next(iter(steps.values()))["error"]
    assert all("error" in line for line in steps.values())


def test_the_bundle_is_not_overwritten_by_its_record(bundled: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(bundled, tmp_path))
    done = run_bundle(copy, "--out", copy)
    assert done.code == 2
    assert "is the bundle; name another file with --out." in done.said
    assert copy.read_bytes() == bundled.read_bytes()


def test_a_file_that_is_no_record_is_left_alone(bundled: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis.txt"
    out.write_text("years of work\n")
    done = run_bundle(bundled, "--out", out)
    assert done.code == 2
    assert out.read_text() == "years of work\n"


def _flip_model(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("files/") and b"linear" in members[name])
    members[name] = members[name].replace(b"linear", b"linaer")


def _edit_manifest(members: dict[str, bytes]) -> None:
    members["manifest.json"] = members["manifest.json"].replace(b'"small"', b'"other"')


def _edit_program(members: dict[str, bytes]) -> None:
    members["kdbench/measure/clock.py"] += b"\n# faster\n"


def _lose_file(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.startswith("files/"))]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_flip_model, "was changed after it was made"),
        (_edit_manifest, "its manifest was changed after it was made"),
        (_edit_program, "'kdbench/measure/clock.py' was changed after it was made"),
        (_lose_file, "it lacks 'files/"),
    ],
)
def test_a_bundle_that_was_changed_does_not_run(bundled: Path, tmp_path: Path, change: Any, sentence: str) -> None:
    done = run_bundle(repacked(bundled, tmp_path / "changed.pyz", change), "--out", tmp_path / "r.jsonl")
    assert done.code == 2
    assert sentence in done.said
    assert not any(line.get("kind") == "step" for line in lines_of_or_none(tmp_path / "r.jsonl"))


def lines_of_or_none(path: Path) -> list[dict[str, Any]]:
    return lines_of(path) if path.exists() else []


EVIL = "../../evil"


def _evil_model(said: dict[str, Any]) -> None:
    said["files"][EVIL] = said["files"].pop(said["models"][0]["digest"])
    said["models"][0]["digest"] = EVIL
    said["groups"] = [[EVIL]]


def _evil_expected(said: dict[str, Any]) -> None:
    said["files"]["/etc/evil"] = said["files"].pop(said["models"][0]["expected"])
    said["models"][0]["expected"] = "/etc/evil"


def _evil_inputs(said: dict[str, Any]) -> None:
    said["files"][EVIL] = said["files"].pop(said["sample"]["inputs"])
    said["sample"]["inputs"] = EVIL


def _endless_digest(said: dict[str, Any]) -> None:
    digest = said["models"][0]["digest"]
    said["files"][f"{digest}\n"] = said["files"].pop(digest)
    said["models"][0]["digest"] = f"{digest}\n"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_evil_model, "a name in it is no SHA-256"),
        (_evil_inputs, "a name in it is no SHA-256"),
        (_evil_expected, "a name in it is no SHA-256"),
        (_endless_digest, "a name in it is no SHA-256"),
        (lambda said: said.update(schema=1), "is a bundle of schema 1, this program reads schema 2."),
        (lambda said: said["outputs"][0].update(kind="evil"), "its outputs are none, or of no kind that is known"),
        (lambda said: said["measure"].update(lengths=[]), "it says no size to measure at"),
        (lambda said: said.pop("sample"), "the manifest is damaged (KeyError: 'sample')"),
        (lambda said: said.update(models=[]), "its list of files does not fit what it names"),
        (lambda said: said["measure"].update(processes=0), "a count in it is less than one"),
        (lambda said: said["measure"].update(batch_sizes="12x"), "the manifest is damaged (ValueError"),
        (lambda said: said.update(groups=[["0" * 64]]), "a group names a model that is not there"),
        (lambda said: said["session"].update(provider="evil"), "there is no provider 'evil'."),
    ],
)
def test_a_hostile_manifest_is_refused_and_writes_nothing(
    bundled: Path, tmp_path: Path, change: Any, sentence: str
) -> None:
    place = tmp_path / "deep" / "down" / "here"
    place.mkdir(parents=True)
    hostile = with_manifest(bundled, place / "hostile.pyz", change)
    before = content(tmp_path)
    run = run_as_data if change is _evil_model else run_bundle
    done = run(hostile, "--out", place / "r.jsonl")
    assert done.code == 2
    assert sentence in done.said
    assert content(tmp_path) == before


def test_names_in_the_archive_are_never_paths(bundled: Path, tmp_path: Path) -> None:
    def add(members: dict[str, bytes]) -> None:
        members.update({"../evil": b"x", str(tmp_path / "evil"): b"x", "files/../../evil": b"x"})

    place = tmp_path / "deep" / "down"
    place.mkdir(parents=True)
    hostile = repacked(bundled, place / "slip.pyz", add)
    done = run_as_data(hostile, "--out", place / "r.jsonl", "--provider", "cuda", "--quick")
    assert done.code == 1
    assert set(content(tmp_path)) == {"deep/down/slip.pyz", "deep/down/r.jsonl"}


def test_the_program_of_a_bundle_that_is_read_as_data_is_not_run(bundled: Path, tmp_path: Path) -> None:
    def infect(members: dict[str, bytes]) -> None:
        for name in members:
            if name.endswith(".py"):
                members[name] = f"open({str(tmp_path / 'infected')!r}, 'w').write('x')\n".encode() + members[name]

    hostile = repacked(bundled, tmp_path / "hostile.pyz", infect)
    done = run_as_data(hostile, "--out", tmp_path / "r.jsonl", "--provider", "cuda", "--quick")
    assert done.code == 1, done.said
    assert not (tmp_path / "infected").exists()


def test_a_member_that_unpacks_to_more_than_it_is_is_refused(bundled: Path, tmp_path: Path) -> None:
    def swell(members: dict[str, bytes]) -> None:
        members[next(name for name in members if name.startswith("files/"))] = bytes(2**24)

    done = run_as_data(
        repacked(bundled, tmp_path / "b.pyz", swell, zipfile.ZIP_DEFLATED), "--out", tmp_path / "r.jsonl"
    )
    assert done.code == 2
    assert "is larger than" in done.said


def test_a_bundle_that_is_read_as_data_loads_no_library_that_it_names(bundled: Path, tmp_path: Path) -> None:
    def name(said: dict[str, Any]) -> None:
        said["session"].update(provider="qnn", options={"backend_path": str(tmp_path / "evil.so")})

    done = run_as_data(with_manifest(bundled, tmp_path / "b.pyz", name), "--out", tmp_path / "r.jsonl")
    assert done.code == 2
    assert "which can load code" in done.said


def test_a_file_that_is_no_archive_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "x.pyz").write_bytes(json.dumps({}).encode())
    done = run_as_data(tmp_path / "x.pyz", "--out", tmp_path / "r.jsonl")
    assert done.code == 2
    assert "is no bundle (File is not a zip file)." in done.said
