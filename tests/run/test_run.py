"""A suite run as a user runs it: to the end, again, in parts, killed, damaged, with a case that fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kdbench.results import records
from kdbench.results.records import (
    Compression,
    Failed,
    Latency,
    Memory,
    Record,
    Score,
    Size,
    Start,
    Training,
    labelled,
)
from kdbench.stages.store import Store

SUITE = """
kdbench: 1
name: tiny
task: digits
seeds: [0, 1]
recipes:
  train: {epochs: 4, learning_rate: 0.05}
  finetune: {epochs: 1, learning_rate: 0.01}
teacher: {model: {cnn: {channels: [32, 64]}}, recipe: train}
student: {model: {cnn: {channels: [16, 32]}}, recipe: train}
cases:
  from-scratch: []
  soft: [soft_distillation]
  chain: [{soft_distillation: {temperature: 4}}, {structured_pruning: {channel_fraction: 0.5}}, static_quantization]
measure:
  - {provider: cpu, threads: [1], batch_sizes: [1, 8], processes: 3, calls: 100, seconds: 0}
"""
TARGET = "local-cpu-1t-fp32"


class Place:
    """A suite beside its results, with a store of its own if not given another."""

    def __init__(self, folder: Path, store: Path | None = None) -> None:
        self.folder = folder
        self.suite = folder / "tiny.yaml"
        self.suite.write_text(SUITE)
        self.store = Store(store or folder / "store")
        self.results = folder / "results"

    def command(self, *arguments: str) -> list[str]:
        where = ["--store", str(self.store.root), "-o", str(self.results)]
        return [sys.executable, "-m", "kdbench", "run", str(self.suite), *where, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, cwd=self.folder)

    def records(self) -> list[Record]:
        return records.read(self.results / "records.jsonl")

    def accuracies(self) -> dict[tuple[str, int, str | None], float | None]:
        return {(r.case, r.seed, r.split): r.value for r in self.records() if isinstance(r, Score)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Place:
    place = Place(tmp_path_factory.mktemp("finished"), shared_store)
    done = place.run()
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def beside(tmp_path: Path, finished: Place) -> Place:
    """A place that takes from the store what the finished run put there."""
    return Place(tmp_path, finished.store.root)


@pytest.fixture
def fresh(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_row_has_its_records(finished: Place) -> None:
    counts = Counter((record.case, type(record)) for record in labelled(finished.records()))
    for case in ("from-scratch", "soft", "chain"):
        assert counts[case, Score] == 2 * 2  # seeds x splits
        assert counts[case, Size] == 2
        assert counts[case, Latency] == counts[case, Memory] == 2 * 2  # seeds x batches
        assert counts[case, Start] == 1  # the first seed's, at the first batch size
    assert counts["teacher", Score] == 2
    assert counts["soft", Training] == 2
    # soft_distillation, structured_pruning and static_quantization, the first two of which train
    assert counts["chain", Compression] == 2 * 3
    assert counts["chain", Training] == 2 * 2


def test_accuracy_is_that_of_the_stored_predictions(finished: Place) -> None:
    for record in finished.records():
        if isinstance(record, Score):
            stored = np.load(finished.results / str(record.predictions_path))
            right = (stored[str(record.split)] == stored[f"{record.split}_targets"]).mean()
            assert record.value == pytest.approx(right)
            assert record.example_count == len(stored[str(record.split)])


def test_the_exported_float_file_agrees_with_torch_and_students_learn(finished: Place) -> None:
    for record in finished.records():
        if isinstance(record, Score) and record.case != "chain":
            assert record.max_abs_logit_difference is not None
            assert record.max_abs_logit_difference < 1e-3
            assert record.value > 0.5  # ten classes


def test_seeds_give_students_of_their_own(finished: Place) -> None:
    digests = {(r.case, r.seed): r.onnx_sha256 for r in finished.records() if isinstance(r, Size)}
    assert digests["from-scratch", 0] != digests["from-scratch", 1]


def test_distillation_asks_the_stored_teacher_only(finished: Place) -> None:
    counts = {r.teacher_forward_count for r in finished.records() if isinstance(r, Training) and r.case == "soft"}
    assert counts == {0}


def test_the_chain_is_smaller_and_runs_in_int8(finished: Place) -> None:
    by_case = {r.case: r for r in finished.records() if isinstance(r, Size)}
    assert by_case["chain"].onnx_bytes < by_case["from-scratch"].onnx_bytes
    assert by_case["chain"].parameter_count < by_case["from-scratch"].parameter_count
    assert by_case["chain"].quantized_weight_fraction == 1.0
    fractions = {r.int8_kernel_fraction for r in finished.records() if isinstance(r, Latency) and r.case == "chain"}
    assert fractions == {1.0}


def test_a_compressed_file_is_compared_with_the_same_seeds_uncompressed_one(finished: Place) -> None:
    sizes = {(r.case, r.seed): r for r in finished.records() if isinstance(r, Size)}
    before = finished.accuracies()  # `soft` has the temperature with which the chain begins
    for record in finished.records():
        if isinstance(record, Size):
            assert bool(record.origin) == (record.case == "chain")
        if isinstance(record, Score) and record.case == "chain":
            assert record.origin_value == before["soft", record.seed, record.split]
            stored = np.load(finished.results / str(record.origin_predictions_path))[str(record.split)]
            own = np.load(finished.results / str(record.predictions_path))[str(record.split)]
            assert record.origin_agreement_fraction == pytest.approx((stored == own).mean())
            origin = sizes["chain", record.seed].origin
            assert origin["onnx_sha256"] == sizes["soft", record.seed].onnx_sha256
            assert origin["onnx_bytes"] == sizes["soft", record.seed].onnx_bytes


def test_a_size_says_what_the_file_holds(finished: Place) -> None:
    sizes = {r.case: r for r in finished.records() if isinstance(r, Size)}
    assert (sizes["soft"].float_layer_count, sizes["soft"].layer_count) == (3, 3)
    assert (sizes["chain"].float_layer_count, sizes["chain"].layer_count) == (0, 3)
    assert set(sizes["chain"].weight_bytes_by_dtype) > {"int8"}
    for size in sizes.values():
        assert size.onnx_zstd_bytes is not None
        assert size.onnx_zstd_bytes < size.onnx_bytes


def test_latency_keeps_raw_samples_of_each_process_and_its_references(finished: Place) -> None:
    for record in finished.records():
        if isinstance(record, Latency):
            assert [len(process) for process in record.samples_ns] == [100] * 3
            assert record.node_count_by_provider.keys() == {"CPUExecutionProvider"}
            assert record.references.keys() == {"baseline", "teacher", *({"origin"} if record.case == "chain" else ())}
            assert set(record.references.values()) == set(record.reference_samples_ns)


def test_a_compressed_file_is_timed_beside_the_same_seeds_uncompressed_one(finished: Place) -> None:
    files = {(r.case, r.seed): r.onnx_sha256 for r in finished.records() if isinstance(r, Size)}
    timed = [r for r in finished.records() if isinstance(r, Latency) and r.case == "chain"]
    assert [r.references["origin"] for r in timed] == [files["soft", r.seed] for r in timed]


def test_the_timed_sessions_gave_the_answers_that_were_evaluated(finished: Place) -> None:
    fractions = {r.answers_agreement_fraction for r in finished.records() if isinstance(r, Latency)}
    assert None not in fractions
    assert min(fractions) > 0.98  # type: ignore[type-var]


def test_the_report_is_there_with_its_table_and_figures(finished: Place) -> None:
    names = {path.name for path in (finished.results / "report").rglob("*") if path.is_file()}
    assert "index.html" in names
    assert {path.rsplit(".", 1)[-1] for path in names} >= {"html", "md", "csv", "png", "svg"}
    assert (finished.results / "suite.yaml").read_text() == SUITE


def test_a_second_run_does_no_work_and_says_so(finished: Place) -> None:
    before = finished.accuracies()
    again = finished.run()
    assert again.returncode == 0
    assert "Nothing to do" in again.stderr
    assert re.search(r"\b0 stages computed, \d+ reused, 0 failed or skipped", again.stderr)
    assert finished.accuracies() == before


def test_a_damaged_artefact_is_noticed_and_rebuilt(fresh: Place, finished: Place) -> None:
    shutil.copytree(finished.store.root / "stages", fresh.store.root / "stages", dirs_exist_ok=True)
    lineage = next(r for r in finished.records() if isinstance(r, Score) and r.case == "from-scratch").lineage
    (damaged,) = [path for key in lineage if (path := fresh.store.folder(key) / "predictions.npz").exists()]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    again = fresh.run("--case", "from-scratch")
    assert again.returncode == 0, again.stderr
    assert "is not what was stored. It is built again." in again.stderr
    assert "1 stages computed" in again.stderr
    fresh.store.verify(damaged.parent.name)


def test_a_part_of_a_suite_runs_alone_and_a_small_teacher_is_noted(beside: Place) -> None:
    labels_only = "  labels-only: [mixed_distillation: {ce_weight: 1.0, kd_weight: 0.0}]\n  chain:"
    beside.suite.write_text(SUITE.replace("channels: [32, 64]", "channels: [8, 16]").replace("  chain:", labels_only))
    done = beside.run("--case", "labels-only", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "Warning: from-scratch has 5,178 parameters, more than its teacher (1,442)." in done.stderr
    digests = {(r.case, r.seed): r.onnx_sha256 for r in beside.records() if isinstance(r, Size)}
    assert digests.keys() == {("labels-only", 1), ("from-scratch", 1), ("teacher", 0)}
    # labels alone, through a distillation: from-scratch to the bit
    assert digests["labels-only", 1] == digests["from-scratch", 1]


def test_a_failing_case_stops_no_other(beside: Place) -> None:
    (beside.folder / "mine.py").write_text(
        "from kdbench.protocols import Technique\n"
        "class Broken(Technique):\n"
        "    '''Fails on purpose.'''\n"
        "    def apply(self, model, ctx):\n"
        "        raise ZeroDivisionError('on purpose')\n"
        "class Dies(Technique):\n"
        "    '''Is killed, as if it had taken all memory.'''\n"
        "    def apply(self, model, ctx):\n"
        "        import os, signal\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return model\n"
        "class Leaves(Technique):\n"
        "    '''Ends its process as if all were well.'''\n"
        "    def apply(self, model, ctx):\n"
        "        import sys\n"
        "        sys.exit(0)\n"
        "        return model\n"
    )
    typo = "  typo: [fitnet: {student_layer: layr2}]\n"
    cases = f"{typo}  broken: ['mine.py:Broken']\n  dies: ['mine.py:Dies']\n  leaves: ['mine.py:Leaves']\n"
    new = "  warm: [soft_distillation: {temperature: 2}]\n  soft:"  # not in the store, so computed beside the others
    beside.suite.write_text(SUITE.replace("  soft:", cases + new).replace("[0, 1]", "[0]"))
    chosen = [part for case in ("typo", "broken", "dies", "leaves", "warm") for part in ("--case", case)]
    done = beside.run(*chosen)
    assert done.returncode == 1, done.stderr
    failed = {r.case: r.reason for r in beside.records() if isinstance(r, Failed) and r.status == "failed"}
    assert failed["broken"] == "rehearse: broken: mine.py:5: ZeroDivisionError: on purpose"
    assert str(failed["typo"]).startswith("rehearse: typo: the student has no layer 'layr2'. Did you mean 'layer2'?")
    assert "mine.py:16: the code ended its process with sys.exit(0)" in str(failed["leaves"])
    assert "its worker process died" in str(failed["dies"])
    skipped = {r.case for r in beside.records() if isinstance(r, Failed) and r.status == "skipped"}
    assert skipped == {"broken", "dies", "leaves", "typo"}
    assert "warm" in {r.case for r in beside.records() if isinstance(r, Latency)}
    (log,) = (beside.results / "logs").glob("*broken*")
    assert "Traceback" in log.read_text()
    assert "on purpose" in log.read_text()


def test_a_provider_that_falls_back_is_a_failed_row_and_never_a_time(beside: Place) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    both = "measure:\n  - {provider: cuda, batch_sizes: [1], processes: 3, calls: 20, seconds: 0}"
    beside.suite.write_text(SUITE.replace("measure:", both).replace("[0, 1]", "[0]"))
    done = beside.run("--case", "from-scratch")
    assert done.returncode == 1, done.stderr
    cuda = [r for r in beside.records() if isinstance(r, Failed) and r.target == "local-cuda-1t-fp32"]
    rows = {(case, kind) for case in ("teacher", "from-scratch") for kind in ("score", "latency")}
    assert {(r.case, r.kind) for r in cuda} == rows
    assert {r.status for r in cuda} == {"failed", "skipped"}  # what rests on the teacher's answers is skipped
    sentence = "asked for CUDAExecutionProvider, onnxruntime chose CPUExecutionProvider."
    assert all(str(r.reason).endswith(sentence) for r in cuda)
    assert any(isinstance(r, Latency) and r.target == TARGET for r in beside.records())


def processes_of(folder: Path) -> list[int]:
    """Processes whose command line or working folder names a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and entry.name != str(os.getpid()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


ONE_ROW = ("--case", "soft", "--seed", "0")
"""Asked of a run with a store of its own; the teacher and from-scratch come with it."""


def of_seed_0(place: Place) -> dict[tuple[str, int, str | None], float | None]:
    """Accuracies of the rows that `ONE_ROW` makes."""
    rows = {"teacher", "from-scratch", "soft"}
    return {row: value for row, value in place.accuracies().items() if row[0] in rows and row[1] == 0}


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_a_run_killed_twice_goes_on_where_it_was_and_leaves_nobody_behind(fresh: Place, finished: Place) -> None:
    for stage_count in (2, 11):  # while something trains, while something is timed
        with subprocess.Popen(
            fresh.command(*ONE_ROW), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=fresh.folder
        ) as killed:
            wait_until(lambda count=stage_count: len(fresh.store.entries()) >= count)
            killed.send_signal(signal.SIGKILL)
        wait_until(lambda: not processes_of(fresh.folder))
    kept = {entry.key for entry in fresh.store.entries()}
    done = fresh.run(*ONE_ROW)
    assert done.returncode == 0, done.stderr
    assert f"{len(fresh.store.entries()) - len(kept)} stages computed" in done.stderr
    assert kept < {entry.key for entry in fresh.store.entries()} <= {entry.key for entry in finished.store.entries()}
    assert fresh.accuracies() == of_seed_0(finished)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_stops_with_130_and_says_how_to_go_on(fresh: Place) -> None:
    with subprocess.Popen(
        fresh.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=fresh.folder
    ) as run:
        wait_until(lambda: len(fresh.store.entries()) >= 1)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "Stopped. What is finished is kept; to go on, run the same command again:" in said
    assert "Traceback" not in said
    wait_until(lambda: not processes_of(fresh.folder))


def test_two_runs_on_one_store_compute_each_stage_once(fresh: Place, finished: Place) -> None:
    other = fresh.folder / "other"
    command = fresh.command(*ONE_ROW)
    second = [str(other) if part == str(fresh.results) else part for part in command]
    with (
        subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=fresh.folder
        ) as one,
        subprocess.Popen(second, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=fresh.folder) as two,
    ):
        said = [run.communicate()[1] for run in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], said
    computed = [int(re.findall(r"(\d+) stages computed", text)[0]) for text in said]
    assert sum(computed) == sum(entry.kind != "rehearse" for entry in fresh.store.entries())
    assert fresh.accuracies() == of_seed_0(finished)
    theirs = {(r.case, r.seed, r.split): r.value for r in records.read(other / "records.jsonl") if isinstance(r, Score)}
    assert theirs == fresh.accuracies()


def test_plan_json_says_what_was_asked(finished: Place) -> None:
    said = json.loads((finished.results / "plan.json").read_text())
    assert said["baseline"] == "from-scratch"
    assert said["cases"]["chain"]["steps"] == ["soft_distillation", "structured_pruning", "static_quantization"]
    assert said["cases"]["chain"]["uncompressed_step_count"] == 1
    assert "uncompressed_step_count" not in said["cases"]["soft"]
    assert said["targets"] == [TARGET]
    assert said["command"].startswith("kdbench run")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a small file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_fails_in_a_sentence_and_costs_the_stage_it_hit(fresh: Place, small_disk: Path) -> None:
    command = fresh.command("--case", "from-scratch", "--seed", "0")
    small = [str(small_disk / "store") if part == str(fresh.store.root) else part for part in command]
    full = subprocess.run(small, capture_output=True, text=True, check=False, cwd=fresh.folder)
    assert full.returncode == 1
    assert "no space left on the disk of the store; free some, or name another with --store" in full.stderr
    assert "Traceback" not in full.stderr
    kept = Store(small_disk / "store")
    assert kept.entries()
    for entry in kept.entries():
        kept.verify(entry.key)
