"""Tokens and seconds of sound a second: told where examples vary in length, and nowhere else."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from enriched import rewritten
from folders import STEPS, TARGET, Folder

import kdbench
from kdbench.evidence import Evidence, evidence
from kdbench.render.report.markdown import markdown
from kdbench.render.report.tidy import estimates
from kdbench.render.tables.cells import Column
from kdbench.render.tables.table import build_table
from kdbench.results.records import CallSize, Latency, Record

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "int8-static")}
TOKENS = {"name": "length", "unit": "tokens", "most": 128}
FRAMES = {"name": "frames", "unit": "seconds of sound", "amount": 0.01}


def folder_of(path: Path, axis: dict[str, object], length: int) -> Path:
    """Calls of 1 and 32 examples of that length; the task has that axis."""

    def at_length(record: Record) -> list[Record]:
        sized = isinstance(record, Latency)
        return [replace(record, lengths={axis["name"]: length}) if sized else record]

    written = rewritten(Folder(path, steps=FEW).write(), at_length)
    ids = {"name": "ids", "axes": [axis["name"]]}
    description = {"inputs": [ids], "outputs": [{"axes": [2], "class_names": ["a", "b"]}], "axes": [axis],
                   "example_counts": {"test": 360}}  # fmt: skip
    (written / "task.json").write_text(json.dumps({"name": "own", "data_key": "k", "description": description}))
    return written


def rates(found: Evidence) -> dict[str, Column]:
    return {c.place: c for c in build_table(found).columns if c.key == "amount_throughput"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("texts"), TOKENS, 128)


def test_tokens_a_second_are_batch_times_length_over_the_latency(texts: Path) -> None:
    frame = kdbench.load(texts)
    rate = frame.throughput_tokens_per_second * frame.latency_p50_ns
    assert rate.tolist() == pytest.approx((128e9 * frame.batch_size).tolist())
    found = evidence(texts)
    column = rates(found)["batch 32, length 128"]
    case = found.cases[1].latency[TARGET, CallSize(32, (("length", 128),))]
    assert column.unit == "k tokens/s"
    assert float(column.cells[1].text.replace(",", "")) == pytest.approx(32 * 128 / case.p50_ns.value * 1e6, rel=5e-3)


def test_the_table_shows_the_largest_call_and_the_others_can_be_opened(texts: Path) -> None:
    found = rates(evidence(texts))
    assert {place: column.is_hidden for place, column in found.items()} == {
        "batch 1, length 128": True,
        "batch 32, length 128": False,
    }
    heading = markdown(evidence(texts)).split("\n| Case")[1].split("\n")[0]
    assert "Throughput (k tokens/s) batch 32, length 128" in heading
    assert (
        "Tokens/s are those of a call (batch size x length, no padding) / p50." in build_table(evidence(texts)).legend
    )


def test_a_frame_of_10_ms_is_a_hundredth_of_a_second_of_sound(tmp_path: Path) -> None:
    path = folder_of(tmp_path, FRAMES, 50)
    frame = kdbench.load(path)
    assert (frame.throughput_seconds_of_sound_per_second * frame.latency_p50_ns).tolist() == pytest.approx(
        (0.5e9 * frame.batch_size).tolist()
    )
    row = next(csv.DictReader(io.StringIO(estimates(evidence(path)))))
    low, high = (float(row[f"throughput_{end}_seconds_of_sound_per_second"]) for end in ("low", "high"))
    assert low * float(row["latency_p50_high_ns"]) == pytest.approx(0.5e9)
    assert high * float(row["latency_p50_low_ns"]) == pytest.approx(0.5e9)


def test_a_task_without_a_unit_has_examples_a_second_alone(tmp_path: Path) -> None:
    path = folder_of(tmp_path, {"name": "length"}, 128)
    assert not rates(evidence(path))
    assert [name for name in kdbench.load(path) if "per_second" in name] == ["throughput_examples_per_second"]
