"""Several devices and references in one report: each named, none pooled, references never at the head."""

from collections.abc import Callable
from dataclasses import replace

from enriched import on_board, rewritten
from folders import STEPS, Folder

from kdbench.evidence import evidence
from kdbench.render.report.page import page
from kdbench.render.report.provenance import facts
from kdbench.render.tables.table import build_table
from kdbench.render.words.sentences import sentences
from kdbench.render.words.words import target_place
from kdbench.results.records import CallSize, Latency, Record, Score

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft")}
HERE, BOARD, TORCH = "local-cpu-1t-fp32", "board-cpu-1t-fp32", "local-torch-1t-fp32"


def test_each_device_is_told_with_its_processor_system_and_runtime(folder: Build) -> None:
    found = evidence(rewritten(folder(steps=FEW, seeds=(0,), targets=(HERE, BOARD)).write(), on_board))
    said = dict(facts(found))
    assert said["Device here"] == "Imaginary Processor 9000; onnxruntime 1.24.1"
    assert said["Device board"] == "Small Processor 1; Linux 5.4; onnxruntime 1.19.2"
    assert "Processor" not in said
    assert "Small Processor 1; Linux 5.4; onnxruntime 1.19.2" in page(found, {}, found.results.folder, ())


def test_a_single_device_is_told_as_processor_and_runtime(folder: Build) -> None:
    said = dict(facts(evidence(folder(steps=FEW, seeds=(0,)).write())))
    assert (said["Processor"], said["Runtime"]) == ("Imaginary Processor 9000", "onnxruntime 1.24.1")


def test_a_device_has_columns_and_an_answer_of_its_own(folder: Build) -> None:
    found = evidence(rewritten(folder(steps=FEW, targets=(HERE, BOARD), batch_sizes=(1,)).write(), on_board))
    groups = {column.group for column in build_table(found).columns if column.key == "p50"}
    assert groups == {"cpu, 1 thread, batch 1", "board, cpu, 1 thread, batch 1"}
    assert sum(sentence.text.startswith("On board, cpu, 1 thread, batch 1: ") for sentence in sentences(found)) == 1


def test_timings_of_two_machines_under_one_name_are_not_pooled(folder: Build) -> None:
    """Seed 2 of every case was timed elsewhere, ten times as slow: a column of its own, and no word in the other's."""
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    alone = evidence(path)

    def elsewhere(record: Record) -> list[Record]:
        if not isinstance(record, Latency) or record.seed != 2:
            return [record]
        slow = tuple(tuple(10 * call for call in process) for process in record.samples_ns or ())
        return [replace(record, samples_ns=slow, fingerprint="0ther")]

    found = evidence(rewritten(path, elsewhere))
    other = f"{HERE}@0ther"
    assert found.targets == (HERE, other)
    assert target_place(other) == "cpu, 1 thread, machine 0ther"
    one, before = found.case("soft"), alone.case("soft")
    assert one is not None
    assert before is not None
    assert one.latency[HERE, CallSize(1)].p50_ns.value < 1.1 * before.latency[HERE, CallSize(1)].p50_ns.value
    assert one.latency[other, CallSize(1)].p50_ns.value > 9 * before.latency[HERE, CallSize(1)].p50_ns.value


def test_a_device_that_answered_a_sample_says_of_how_many(folder: Build) -> None:
    def sampled(record: Record) -> list[Record]:
        there = isinstance(record, Score) and record.target == BOARD
        said = {"example_count": 90, "split_example_count": 360, "home_agreement_fraction": 0.98}
        return [replace(record, predictions_path=None, **said) if there else record]

    found = evidence(rewritten(folder(steps=FEW, targets=(HERE, BOARD)).write(), on_board, sampled))
    told = [sentence for sentence in build_table(found).legend if "test examples: compare" in sentence]
    assert told == [
        "Accuracy on board, cpu, 1 thread is of 90 of the 360 test examples: compare it within that target only."
    ]


def test_a_reference_is_marked_and_stands_behind_every_deployment_target(folder: Build) -> None:
    found = evidence(folder(steps=FEW, targets=(TORCH, HERE), batch_sizes=(1,)).write())
    assert found.targets == (HERE, TORCH)
    assert found.settings == ((HERE, CallSize(1)), (TORCH, CallSize(1)))
    table = build_table(found)
    shown = [column.group for column in table.columns if column.key == "p50"]
    assert shown == ["cpu, 1 thread, batch 1", "torch (reference), 1 thread, batch 1"]
    assert "torch (reference), 1 thread is no deployment target: timed for reference, never chosen." in table.legend
    said = sentences(found)
    assert said[0].text.startswith("On cpu, 1 thread, batch 1: ")
    assert not any("torch" in sentence.text and sentence.text.startswith("On") for sentence in said)


def test_a_runtime_that_is_a_reference_is_one_whatever_its_target_is_called(folder: Build) -> None:
    def torch(record: Record) -> list[Record]:
        there = isinstance(record, Latency) and record.target == "local-eager-1t-fp32"
        return [replace(record, runtime="torch") if there else record]

    path = folder(steps=FEW, seeds=(0,), targets=("local-eager-1t-fp32", HERE)).write()
    assert evidence(rewritten(path, torch)).results.reference_targets == {"local-eager-1t-fp32"}


def test_a_folder_with_references_only_is_still_told(folder: Build) -> None:
    found = evidence(folder(steps=FEW, targets=(TORCH,), batch_sizes=(1,)).write())
    assert sentences(found)[0].text.startswith("On torch (reference), 1 thread, batch 1: ")
