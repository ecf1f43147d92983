"""`kdbench phone` against an adb of our own making: the protocol alone is tested, no phone was ever at hand."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from carried import TARGET

from kdbench.bundle.adb import Phone, named, read
from kdbench.bundle.phone import Plan, time_on_phone
from kdbench.cli import exit_code
from kdbench.errors import MeasureError, StoreError, UnknownName
from kdbench.evidence import evidence
from kdbench.files import sha256_of
from kdbench.measure.runtimes.litert_converter import ENDING, write_archive
from kdbench.results import records
from kdbench.results.records import Environment, Latency, Size

ADB = """#!{python}
import os, shutil, shlex, sys
words = sys.argv[1:]
if words[:1] == ["-s"]:
    words = words[2:]
phone = {phone!r}
with open(phone + "/log", "a") as log:
    print(*words, file=log)
there = lambda path: phone + path
if words[0] == "get-state":
    print("device")
elif words[0] == "push":
    os.makedirs(os.path.dirname(there(words[2])), exist_ok=True)
    shutil.copy(words[1], there(words[2]))
elif words[0] == "shell":
    said = shlex.split(words[1])
    if said[0] == "getprop":
        told = {{"ro.product.model": "Imagine 9", "ro.soc.model": "SM1", "ro.build.version.release": "16"}}
        print(told.get(said[1], ""))
    elif said[0] == "rm":
        shutil.rmtree(there(said[2]))
    elif said[0].endswith("benchmark_model"):
        asked = dict(word[2:].split("=") for word in said[1:])
        size = os.path.getsize(there(asked["graph"]))
        print("Replacing 5 out of 7 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions")
        print("{sum}" % (size, size / 10, size / 10))
"""
SUM = "Inference timings in us: Init: 5685, First inference: %g, Warmup (avg): %g, Inference (avg): %g"


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named adb, whose phone is a folder; the time of a file is a tenth of its bytes, in microseconds."""
    phone = tmp_path / "phone"
    phone.mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "adb"
    program.write_text(ADB.format(python=sys.executable, phone=str(phone), sum=SUM))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return phone


@pytest.fixture
def litert(results: Path) -> Path:
    """The folder of the other tests, each of whose files is now an archive of LiteRT's."""
    made: dict[str, str] = {}
    lines = []
    for line in records.read(results / "records.jsonl"):
        if isinstance(line, Size):
            path = results / line.onnx_path.replace(".onnx", f".{ENDING}")
            content = (results / line.onnx_path).read_bytes()
            write_archive(path, {1: content, 2: content * 2}, ["image"])
            made[line.onnx_sha256] = sha256_of(path)
            own = {"onnx_path": line.onnx_path.replace(".onnx", f".{ENDING}"), "onnx_sha256": made[line.onnx_sha256]}
            line = replace(line, artefact=ENDING, artefact_bytes=len(content), **own)
        lines.append(line)
    for place, line in enumerate(lines):
        if isinstance(line, Latency):
            references = {role: made[digest] for role, digest in line.references.items()}
            samples = {made[digest]: taken for digest, taken in line.reference_samples_ns.items()}
            lines[place] = replace(
                line, references=references, reference_samples_ns=samples, reference_thread_cpu_ns={}
            )
    (results / "records.jsonl").write_text(records.to_lines(lines))
    return results


def program(folder: Path) -> Path:
    path = folder / "benchmark_model"
    path.write_text("for arm64")
    return path


def test_each_file_is_timed_in_every_process_beside_its_references(litert: Path, adb: Path, tmp_path: Path) -> None:
    target = time_on_phone(litert, Phone("S1"), Plan(program(tmp_path), processes=3, runs=40))
    assert target == "imagine-9-litert-1t-fp32"
    rows = [line for line in records.read(litert / "records.jsonl") if getattr(line, "target", "") == target]
    (row,) = (one for one in rows if isinstance(one, Latency) and one.case == "soft")
    own = next(one for one in records.read(litert / "records.jsonl") if isinstance(one, Size) and one.case == "soft")
    assert own.artefact_bytes is not None
    assert row.batch_size == 2
    assert row.samples_ns == ((2 * 100 * own.artefact_bytes,),) * 3  # a tenth of a microsecond a byte
    assert row.load_ns == (5_685_000,) * 3
    assert row.node_count_by_provider == {"XNNPACK": 5, "LiteRT's own kernels": 2}
    assert set(row.references) == {"baseline", "teacher"}
    assert "no accuracy was measured there; a sample is the mean of 40 calls" in str(row.execution_note)
    (facts,) = (one.facts for one in records.read(litert / "records.jsonl")
                if isinstance(one, Environment) and one.facts.get("model"))  # fmt: skip
    assert (facts["model"], facts["soc"], facts["android"]) == ("Imagine 9", "SM1", "16")
    assert target in evidence(litert).targets


def test_nothing_stays_on_the_phone_and_the_order_alternates(litert: Path, adb: Path, tmp_path: Path) -> None:
    time_on_phone(litert, Phone(None), Plan(program(tmp_path), processes=3))
    said = (adb / "log").read_text().splitlines()
    assert said[-1] == "shell rm -rf /data/local/tmp/kdbench"
    assert not (adb / "data/local/tmp/kdbench").exists()
    ran = [line for line in said if "benchmark_model --graph" in line]
    third = len(ran) // 3
    assert ran[third : 2 * third] == ran[:third][::-1]


def test_the_verb_says_what_was_not_measured(
    litert: Path, adb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["phone", str(litert), "--program", str(program(tmp_path)), "--device", "my-phone", "--processes", "3"]
    assert exit_code(asked) == 0
    assert "my-phone-litert-1t-fp32: timed on the phone; no accuracy was measured there." in capsys.readouterr().out


def test_a_target_without_such_files_is_refused(results: Path, litert: Path, adb: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=rf"there is no target 'x' with LiteRT files\. .*{TARGET}"):
        time_on_phone(litert, Phone(None), Plan(program(tmp_path), target="x"))


def test_onnx_files_are_not_carried(results: Path, adb: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no LiteRT files; measure with `provider: litert` in the suite first\.$"):
        time_on_phone(results, Phone(None), Plan(program(tmp_path)))


def test_a_phone_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasureError, match=r"^there is no adb here; install Android's platform tools"):
        Phone(None, adb="adb-of-nobody")
    failing = tmp_path / "adb"
    failing.write_text("#!/bin/sh\necho 'error: no devices/emulators found' >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(MeasureError, match=r"^adb get-state failed: error: no devices/emulators found\.$"):
        Phone(None, adb=str(failing))


def test_a_program_that_prints_no_sum_is_quoted() -> None:
    with pytest.raises(MeasureError, match=r"printed no timings; the last line it printed is: Failed to load model$"):
        read("INFO: starting\nFailed to load model\n")
    assert read(SUM % (18535, 14462.3, 1.35752e4)).mean_us == 13575.2


def test_a_phones_name_comes_from_its_model() -> None:
    assert named({"model": "Pixel 9 Pro (XL)"}) == "pixel-9-pro-xl"
    assert named({}) == "phone"
