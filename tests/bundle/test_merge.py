"""A device's record becomes columns of a results folder, or a sentence says why it cannot."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from carried import FILES, KEPT, TARGET, TESTED, content, lines_of, model_path, rewritten, write_results

from kdbench.bundle import merge
from kdbench.errors import KdbenchError, RecordError, StoreError
from kdbench.evidence import evidence, read_results
from kdbench.measure.host import fingerprint
from kdbench.render import render
from kdbench.results import records
from kdbench.results.devices import device_runs, still_true
from kdbench.results.plan_json import read_plan
from kdbench.results.records import CallSize, Compression, Environment, Latency, Memory, Score, Size, Start

DEVICE = "board-cpu-1t-fp32"


def test_a_device_becomes_columns_of_the_same_report(results: Path, record: Path) -> None:
    made = merge(results, record)
    found = evidence(results)
    assert (made.target, made.row_count, made.failed_count, made.changed) == (DEVICE, len(FILES), 0, True)
    assert found.targets == (TARGET, DEVICE)
    soft = found.case("soft")
    assert soft is not None
    assert set(soft.latency) == {(TARGET, CallSize(2)), (DEVICE, CallSize(2))}
    assert set(soft.latency[DEVICE, CallSize(2)].speedup) == {"baseline", "teacher"}
    render(results, results / "report", ("markdown",))
    assert "board, cpu, 1 thread" in (results / "report" / "table.md").read_text()


def test_every_fact_of_a_device_is_there_and_says_where_it_is_from(results: Path, record: Path) -> None:
    merge(results, record)
    header = lines_of(record)[0]
    found = read_results(results)
    for kind in (Size, Score, Latency, Memory, Start):
        rows = {(line.case, line.seed) for line in found.of(kind) if line.target == DEVICE}
        assert rows == set(FILES) - ({("from-scratch", 1)} if kind is Start else set()), kind.KIND
    for line in found.labelled:
        if line.target == DEVICE and not isinstance(line, Compression):
            assert line.fingerprint == header["fingerprint"]
            assert line.created_utc == header["created_utc"]
            assert line.key == header["bundle"][:32]
    (machine,) = [line for line in found.of(Environment) if line.key == header["fingerprint"]]
    assert json.loads(json.dumps(machine.facts)) == header["facts"]


def test_what_made_a_file_for_a_target_is_told_of_the_device_too(results: Path, record: Path) -> None:
    made = Compression(
        **{"suite": "small", "case": "soft", "seed": 0, "key": "c", "target": TARGET},
        technique="static_quantization",
        wall_ns=5,
        cpu_ns=4,
    )
    records.append(results / "records.jsonl", [made])
    merge(results, record)
    assert {work.target for work in read_results(results).of(Compression, "soft")} == {TARGET, DEVICE}


def test_accuracy_is_of_the_sample_and_says_so(results: Path, record: Path) -> None:
    merge(results, record)
    found = read_results(results)
    with np.load(results / "predictions/soft-0.npz") as arrays:
        every = np.linspace(0, TESTED, KEPT, endpoint=False).astype(int)
        classes, targets = arrays["test"][every], arrays["test_targets"][every]
    (soft,) = [line for line in found.of(Score, "soft") if line.target == DEVICE]
    assert (soft.correct_count, soft.example_count) == (int((classes == targets).sum()), KEPT)
    assert soft.split_example_count == TESTED
    assert (soft.home_agreement_fraction, soft.max_abs_home_difference) == (1.0, 0.0)
    stored = found.predictions(soft)
    assert stored is not None
    assert np.array_equal(stored.decisions, classes)
    assert np.array_equal(stored.targets, targets)
    (teacher,) = [line for line in found.of(Score, "teacher") if line.target == DEVICE]
    theirs = found.predictions(teacher)
    assert theirs is not None
    assert soft.teacher_agreement_fraction == float((theirs.decisions == classes).mean())


def test_times_are_those_of_the_device_beside_those_of_its_references(results: Path, record: Path) -> None:
    merge(results, record)
    digest = hashlib.sha256(model_path(results, ("soft", 0)).read_bytes()).hexdigest()
    answers = [line["answer"] for line in lines_of(record) if line.get("step", "").startswith("time/")]
    times = {
        file["digest"]: [entry["by_batch"]["2"]["samples_ns"] for a in answers for entry in a["files"]
                         if entry["digest"] == file["digest"]]
        for file in answers[0]["files"]
    }  # fmt: skip
    (soft,) = [line for line in read_results(results).of(Latency, "soft") if line.target == DEVICE]
    assert [list(samples) for samples in soft.samples_ns or ()] == times[digest]
    for reference, samples in (soft.reference_samples_ns or {}).items():
        assert [list(process) for process in samples] == times[reference]
    assert soft.node_count_by_provider is not None
    assert set(soft.node_count_by_provider) == {"CPUExecutionProvider"}
    assert soft.answers_agreement_fraction == 1.0


def test_the_plan_says_that_the_target_is_a_device(results: Path, record: Path) -> None:
    merge(results, record)
    assert read_results(results).plan.targets == (TARGET, DEVICE)
    plan = json.loads((results / "plan.json").read_text())
    (device,) = plan["devices"].values()
    assert (device["device"], device["batch_sizes"], device["example_count"]) == ("board", [2], KEPT)
    assert plan["measure"].keys() == {TARGET}, "nobody measures a device again from here"


def test_merging_the_same_record_twice_changes_nothing(results: Path, record: Path) -> None:
    merge(results, record)
    before = content(results)
    again = merge(results, record)
    assert not again.changed
    assert again.row_count == len(FILES)
    assert content(results) == before


def test_a_merge_that_was_cut_off_is_finished_by_the_next(results: Path, record: Path) -> None:
    """devices/ is written before the records: what a kill leaves out is put in."""
    untouched = (results / "records.jsonl").read_bytes()
    merge(results, record)
    whole = content(results)
    (results / "records.jsonl").write_bytes(untouched)
    assert merge(results, record).changed
    assert content(results) == whole


def test_a_device_is_renamed_and_stands_beside_the_other(results: Path, record: Path) -> None:
    merge(results, record)
    merge(results, record, device="pi")
    assert read_results(results).targets == (TARGET, DEVICE, "pi-cpu-1t-fp32")


def test_an_unfinished_record_is_merged_as_far_as_it_goes(results: Path, record: Path, tmp_path: Path) -> None:
    kept = [line for line in record.read_text().splitlines() if '"step":"' not in line or '"step":"predict' in line]
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(line for line in kept if '"kind":"end"' not in line) + '\n{"kind":"st')
    made = merge(results, part)
    found = read_results(results)
    assert made.warnings[0].startswith("the run was stopped before its end")
    assert [line.case for line in found.of(Latency) if line.target == DEVICE] == []
    assert len([line for line in found.scores() if line.target == DEVICE]) == len(FILES)
    merge(results, record)
    found = read_results(results)
    assert len([line for line in found.scores() if line.target == DEVICE]) == len(FILES)
    assert len([line for line in found.of(Latency) if line.target == DEVICE]) == len(FILES)


def _step(lines: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(line for line in lines if line.get("step", "").startswith(f"{kind}/"))


def test_a_file_that_failed_there_is_a_failed_row_and_the_others_stand(
    results: Path, record: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256(model_path(results, ("soft", 0)).read_bytes()).hexdigest()

    def fail(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line.get("step", "").partition("/")[2].startswith(digest):
                line.pop("answer")
                line["error"] = "onnxruntime's process crashed with SIGSEGV and said nothing."
            for file in line.get("answer", {}).get("files", []):
                if file["digest"] == digest:
                    line["answer"]["files"].remove(file)

    made = merge(results, rewritten(record, tmp_path / "failed.jsonl", fail))
    found = read_results(results)
    assert made.failed_count == 1
    reasons = [line.reason for line in found.failures("soft", Latency)]
    assert reasons == ["onnxruntime's process crashed with SIGSEGV and said nothing."]
    assert len([line for line in found.of(Latency) if line.target == DEVICE]) == len(FILES) - 1
    assert evidence(results).case("soft").problems_on(DEVICE)  # type: ignore[union-attr]


def test_a_provider_that_ran_none_of_it_is_a_failed_row(results: Path, record: Path, tmp_path: Path) -> None:
    def elsewhere(lines: list[dict[str, Any]]) -> None:
        for file in _step(lines, "prove")["answer"]["files"]:
            for kernels in file["by_batch"].values():
                kernels["node_count_by_provider"] = {"OtherExecutionProvider": 2}

    merge(results, rewritten(record, tmp_path / "other.jsonl", elsewhere))
    failed = read_results(results).failures("soft", Latency)
    assert [line.reason for line in failed] == [
        "asked for CPUExecutionProvider, which ran none of the file's nodes at batch 2."
    ]


def test_answers_that_differ_from_those_at_bundling_are_told(results: Path, record: Path, tmp_path: Path) -> None:
    def differ(lines: list[dict[str, Any]]) -> None:
        _step(lines, "predict")["answer"]["outputs"][0].update(agreement_fraction=0.9, max_abs_difference=0.5)

    made = merge(results, rewritten(record, tmp_path / "d.jsonl", differ))
    assert made.warnings == (
        "teacher, seed 0, gives 10.0% of the examples another class there than here (largest difference of an output "
        "0.5).",
    )


def _facts(lines: list[dict[str, Any]], **changed: Any) -> None:
    lines[0]["facts"].update(changed)
    lines[0]["fingerprint"] = fingerprint(lines[0]["facts"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: lines[0].update(schema=1), "this record has schema 1, this kdbench reads schema 2"),
        (lambda lines: lines[0].update(suite="large"), "is of suite 'large'"),
        (lambda lines: lines[0]["sample"].update(digest="0" * 64), "comes from a bundle of other data"),
        (lambda lines: lines[0]["sample"].update(example_count=31), "it has more examples than the sample"),
        (lambda lines: lines[0]["sample"].update(example_count=29), "did not answer every example"),
        (lambda lines: lines[0].update(fingerprint="0" * 16), "its fingerprint is another"),
        (lambda lines: lines[0].update(device="../evil", target="../evil-cpu-1t-fp32"), "cannot be a device's name"),
        (lambda lines: lines[0].update(device="local", target="local-cpu-1t-fp32"), "cannot be a device's name"),
        (lambda lines: lines[0].update(target="other-cpu-1t-fp32"), "its target is another"),
        (lambda lines: lines[0].update(bundle="../../x"), ":1, bundle: this record is damaged"),
        (lambda lines: lines[0].update(created_utc="<script>"), ":1, created_utc: this record is damaged"),
        (lambda lines: lines[0]["session"].update(provider="evil"), "there is no provider 'evil'"),
        (
            lambda lines: lines[0].update(
                session={"provider": "/../../../../pwned/x", "plugin": "p", "precision": "default"},
                target="board-/../../../../pwned/x-1t-default",
            ),
            "is no name of a provider",
        ),
        (lambda lines: lines[0]["session"].update(evil="x"), "a job has no field 'evil'"),
        (lambda lines: lines[0].pop("facts"), ":1, facts: this record is damaged"),
        (lambda lines: lines[0].update(kind="step"), "no record of a device begins here"),
        (lambda lines: lines.insert(3, {"kind": "device"}), ":4: this line is damaged"),
        (lambda lines: lines[1].update(step="evil/x"), "there is no such step"),
        (lambda lines: lines[1].update(step="predict/" + "0" * 64), "the model 0000000000000000 is none of this"),
        (lambda lines: lines[1].update(step="predict/../evil"), "there is no such step"),
        (lambda lines: lines[1].update(step="predict/.."), "is none of this folder's"),
        (lambda lines: lines[1].update(answer=[]), "this record is damaged"),
        (lambda lines: lines[1]["answer"].update(arrays="###"), "has answers that cannot be read (it is no base64"),
        (lambda lines: lines[1]["answer"].update(arrays="AAAA"), "has answers that cannot be read (File is not a zip"),
        (lambda lines: lines[1]["answer"].update(arrays=5), "arrays: this record is damaged"),
        (
            lambda lines: lines[1]["answer"]["outputs"][0].update(agreement_fraction=1.5),
            "outputs.0.agreement_fraction: this record is damaged",
        ),
        (lambda lines: lines.__delitem__(slice(1, None)), "holds no answer yet"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_in_a_sentence_and_nothing_is_written(
    results: Path, record: Path, tmp_path: Path, change: Any, sentence: str
) -> None:
    before = content(tmp_path)
    bad = rewritten(record, tmp_path / "bad.jsonl", change)
    with pytest.raises(RecordError) as refusal:
        merge(results, bad)
    bad.unlink()
    assert sentence in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert content(tmp_path) == before


def _times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [file["by_batch"]["2"] for file in _step(lines, "time")["answer"]["files"]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: _times(lines)[0]["samples_ns"].pop(), "called unequally often at batch 2"),
        (lambda lines: [each["samples_ns"].append(5) for each in _times(lines)], None),
        (lambda lines: _times(lines)[0]["samples_ns"].__setitem__(0, 0), "this record is damaged"),
        (lambda lines: _times(lines)[0]["samples_ns"].__setitem__(0, 1e300), "this record is damaged"),
        (lambda lines: _times(lines)[0]["classes"][0].pop(), "a batch of 2 has another number of answers"),
        (lambda lines: _step(lines, "time")["answer"]["files"].pop(0), "it is not in every process of its group"),
        (lambda lines: _step(lines, "time")["answer"]["files"][0]["by_batch"].clear(), "its batch sizes are not those"),
        (lambda lines: _step(lines, "prove")["answer"]["files"].pop(0), "it is not in every process of its group"),
        (lambda lines: _times(lines)[0].update(thread_cpu_ns=None), "only some of its processes read their processor"),
    ],
)
def test_times_that_contradict_themselves_are_refused(
    results: Path, record: Path, tmp_path: Path, change: Any, sentence: str | None
) -> None:
    before = content(results)
    bad = rewritten(record, tmp_path / "bad.jsonl", change)
    if sentence is None:  # rounds are of one call here, so one more of every file is a round
        assert merge(results, bad).changed
        return
    with pytest.raises(RecordError) as refusal:
        merge(results, bad)
    assert sentence in str(refusal.value)
    assert content(results) == before


def test_a_record_that_was_changed_after_it_was_written_is_refused(results: Path, record: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(record.read_bytes().replace(b'"process":0', b'"process":4', 1))
    with pytest.raises(RecordError, match="this record was changed after it was written"):
        merge(results, changed)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{broken", ":3: this line is damaged"),
        ("[]", ":3: this line is damaged: it is no JSON object"),
        ('{"kind": "step", "step": "x", "answer": NaN}', "NaN is not allowed"),
        ("[" * 100_000, ":3: this line is damaged"),
        ('{"kind": "step", "step": 5}', ":3: this line is damaged: it is no step of a run"),
    ],
)
def test_a_damaged_line_is_named(results: Path, record: Path, tmp_path: Path, line: str, sentence: str) -> None:
    lines = record.read_text().splitlines()
    lines[2] = line
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordError) as refusal:
        merge(results, bad)
    assert sentence in str(refusal.value)


def test_an_empty_and_a_missing_record_are_named(results: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(RecordError, match="no record of a device begins here"):
        merge(results, tmp_path / "empty")
    with pytest.raises(RecordError, match=r"cannot read .* \(No such file or directory\)"):
        merge(results, tmp_path / "none")


def test_one_name_is_one_machine_and_one_target_one_runtime(results: Path, record: Path, tmp_path: Path) -> None:
    merge(results, record)
    other = rewritten(record, tmp_path / "a.jsonl", lambda lines: _facts(lines, cpu="Another One"))
    with pytest.raises(RecordError, match="the device 'board' is another machine here already"):
        merge(results, other)
    newer = rewritten(record, tmp_path / "b.jsonl", lambda lines: _facts(lines, runtime_version="9.9"))
    with pytest.raises(RecordError, match="board-cpu-1t-fp32 is here already with another runtime; name this one"):
        merge(results, newer)
    merge(results, newer, device="board-new")
    assert {run.device for run in device_runs(results)} == {"board", "board-new"}


def test_a_record_of_another_results_folder_is_refused(record: Path, tmp_path: Path) -> None:
    other = write_results(tmp_path / "other", name="other")
    with pytest.raises(RecordError, match=r"is of suite 'small', .* holds 'other'"):
        merge(other, record)


def test_what_a_hostile_record_says_is_text_in_the_page(results: Path, record: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    hostile = rewritten(record, tmp_path / "h.jsonl", lambda lines: _facts(lines, cpu=evil, runtime_build=evil))
    merge(results, hostile)
    (page,) = [path for path in render(results, tmp_path / "report", ("html",)) if path.suffix == ".html"]
    assert evil not in page.read_text()


def test_lines_of_files_that_are_gone_are_left_out(results: Path, record: Path) -> None:
    merge(results, record)
    (run,) = device_runs(results)
    found = records.read(results / "devices" / f"{run.stem}.jsonl")
    digests: dict[tuple[str, int], set[str]] = {}
    for line in found:
        if isinstance(line, Size):
            digests.setdefault((line.case, line.seed), set()).add(line.onnx_sha256)
    assert still_true(found, digests) == (found, [])
    kept, lost = still_true(found, {**digests, ("soft", 0): {"new"}})
    assert lost == [("soft", 0)]
    assert {line.case for line in records.labelled(kept)} == {"teacher", "from-scratch", "copy"}
    new_baseline = {**digests, ("from-scratch", 0): {"new"}, ("copy", 0): {"new"}}
    kept, lost = still_true(found, new_baseline)
    assert kept == []
    assert set(lost) == set(FILES)


def test_a_damaged_devices_folder_says_what_to_do(results: Path, record: Path) -> None:
    merge(results, record)
    (path,) = (results / "devices").glob("*.json")
    path.write_text("{}")
    with pytest.raises(KdbenchError, match="is damaged; remove it and merge that device's record again"):
        merge(results, record)


def test_a_folder_without_a_plan_takes_devices_too(results: Path, record: Path) -> None:
    (results / "plan.json").unlink()
    merge(results, record)
    assert read_results(results).targets == (TARGET, DEVICE)
    assert not (results / "plan.json").exists()


def test_the_plan_keeps_what_else_it_says(results: Path, record: Path) -> None:
    before = read_plan(results)
    merge(results, record)
    after = read_plan(results)
    assert before is not None
    assert after is not None
    assert after == before.model_copy(update={"targets": (TARGET, DEVICE), "devices": after.devices})


def test_a_pipe_in_place_of_a_file_is_refused_not_read_for_ever(results: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record.jsonl")
    with pytest.raises(RecordError, match="it is no regular file"):
        merge(results, tmp_path / "record.jsonl")
    (results / "task.json").unlink()
    os.mkfifo(results / "task.json")
    with pytest.raises(StoreError, match="it is no regular file"):
        merge(results, tmp_path / "record.jsonl")
