"""Adds to a results folder what measuring newly says: proof of execution, cold start, energy, other devices."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdbench.results import records
from kdbench.results.records import Energy, Environment, Latency, Record, Score, Start

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"
ENVIRONMENT = "f00d"
Change = Callable[[Record], Iterable[Record]]


def rewritten(path: Path, *changes: Change) -> Path:
    """The folder with each record replaced by what the changes, one after another, make of it."""
    file = path / "records.jsonl"
    kept = records.read(file)
    for change in changes:
        kept = [new for record in kept for new in change(record)]
    file.unlink()
    records.append(file, kept)
    return path


def proven(elsewhere: Mapping[str, float] = {}, asked: str = CPU, **fields: Any) -> Change:
    """Every timing with its proof; `elsewhere`: case -> share of it that the CPU provider ran in place of `asked`."""

    def change(record: Record) -> list[Record]:
        if not isinstance(record, Latency):
            return [record]
        share = elsewhere.get(record.case, 0.0)
        beside = {CPU: round(8 * share)} if share else {}
        times = {CPU: round(1000 * share)} if share else {}
        int8 = 1.0 if "int8" in record.case else 0.0
        return [
            replace(
                record,
                provider_asked=asked,
                node_count_by_provider={asked: 8 - sum(beside.values()), **beside},
                kernel_ns_by_provider={asked: 1000 - sum(times.values()), **times},
                int8_kernel_fraction=int8,
                effective_precision="int8" if int8 else "fp32",
                answers_agreement_fraction=1.0,
                **fields,
            )
        ]

    return change


def started(record: Record) -> list[Record]:
    """Beside each timing at batch 1 a cold start: 60, 61 and 70 ms, of which 1 ms is the load and 0.5 ms the call."""
    if not isinstance(record, Latency) or record.batch_size != 1 or record.seed != 0:
        return [record]
    imports = tuple(int(1e6 * total) - 1_500_000 for total in (60, 70, 61))
    return [record, Start(**_labels(record), runtime_import_ns=imports, load_ns=(1_000_000,) * 3,
                          first_inference_ns=(500_000,) * 3, batch_size=1)]  # fmt: skip


def energized(record: Record) -> list[Record]:
    """Beside each timing an energy: 20 W while idle, 30 W while calls of 1 ms run, in three processes."""
    if not isinstance(record, Latency) or record.seed != 0:
        return [record]
    return [record, Energy(**_labels(record), counter="rapl", batch_size=record.batch_size, call_count=(1000,) * 3,
                           energy_uj=(30_000_000, 31_000_000, 29_000_000), wall_ns=(10**9,) * 3,
                           idle_energy_uj=(40_000_000,) * 3, idle_wall_ns=(2 * 10**9,) * 3)]  # fmt: skip


def on_board(record: Record) -> list[Record]:
    """Timings of targets of a device `board` bear its fingerprint, and its environment is there."""
    if isinstance(record, Environment):
        facts = {"cpu": "Small Processor 1", "os": "Linux 5.4"}
        return [record, replace(record, key="b", fingerprint="b0a2d", facts=facts)]
    if isinstance(record, Latency) and (record.target or "").startswith("board-"):
        return [replace(record, fingerprint="b0a2d", runtime_version="1.19.2")]
    return [record]


def sampled(record: Record) -> list[Record]:
    """A device answered a quarter of the test examples, so its accuracies are its own; its answers are not stored."""
    if isinstance(record, Score) and (record.target or "").startswith("board-"):
        unstored = {"predictions_path": None, "origin_predictions_path": None}
        value = round(90 * record.value) / 90
        return [replace(record, value=value, example_count=90, split_example_count=360, **unstored)]
    return [record]


def slower(case: str, target: str, factor: float) -> Change:
    """A case's calls on a target take `factor` times as long; its references' stay."""

    def change(record: Record) -> list[Record]:
        if not isinstance(record, Latency) or (record.case, record.target) != (case, target):
            return [record]
        samples = tuple(tuple(round(factor * call) for call in process) for process in record.samples_ns or ())
        return [replace(record, samples_ns=samples)]

    return change


def _labels(record: Latency) -> dict[str, Any]:
    names = ("suite", "case", "seed", "key", "target", "fingerprint", "lineage", "steps", "created_utc")
    return {name: getattr(record, name) for name in names}
