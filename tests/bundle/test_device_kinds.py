"""Every kind of output, ids with masks and lengths: to a device and back, judged by its own metrics."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kind_folders
import numpy as np
import pytest
from carried import rewritten, run_bundle

from kdbench.bundle import Asked, bundle, merge
from kdbench.errors import RecordError
from kdbench.evidence import evidence, read_results
from kdbench.files import arrays_of, npz_bytes
from kdbench.ragged import chosen
from kdbench.render import render
from kdbench.results.records import Latency, Memory, Score, Start

DEVICE = "board-cpu-1t-fp32"
EXAMPLES = 24


SLOW = ("dense_classes", "token_classes")
"""Kinds that take no other way than the rest."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in kind_folders.KINDS],
)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A results folder with what a device brought home, that record, and what the device said."""
    place = tmp_path_factory.mktemp(request.param)
    results = kind_folders.write_folder(place / "results", request.param)
    asked = Asked(examples=EXAMPLES)
    packed = bundle(results, place / "small.pyz", asked).path
    done = run_bundle(packed, "--out", place / "record.jsonl", "--device", "board", "--quick")
    assert done.code == 0, done.said
    merge(results, place / "record.jsonl")
    return results, place / "record.jsonl", done.said


def test_the_device_scores_what_the_same_examples_score_here(merged: tuple[Path, Path, str]) -> None:
    results = read_results(merged[0])
    here = [score for score in results.of(Score) if score.target == kind_folders.TARGET]
    there = {(s.case, s.output, s.metric): s for s in results.of(Score) if s.target == DEVICE}
    index = np.linspace(0, kind_folders.TESTED, EXAMPLES, endpoint=False).astype(int)
    assert len(there) == len(here)
    for score in here:
        kept = results.predictions(score)
        assert kept is not None
        on_device = there[score.case, score.output, score.metric]
        expected = kept.metric.value(chosen(kept.judged, index), chosen(kept.targets, index))
        assert on_device.value == pytest.approx(expected, abs=1e-6)
        assert (on_device.example_count, on_device.split_example_count) == (EXAMPLES, kind_folders.TESTED)
        assert (on_device.direction, on_device.unit, on_device.decides) == (score.direction, score.unit, score.decides)
        assert on_device.home_agreement_fraction == pytest.approx(1)
        assert on_device.max_abs_home_difference == pytest.approx(0, abs=1e-5)
        again = results.predictions(on_device)
        assert again is not None
        assert again.value == pytest.approx(expected, abs=1e-6)


def test_it_is_timed_at_the_lengths_that_were_timed_here(merged: tuple[Path, Path, str]) -> None:
    results = read_results(merged[0])
    here, there = (
        [record.lengths for record in results.of(Latency, "other") if record.target == target]
        for target in (kind_folders.TARGET, DEVICE)
    )
    assert here == there
    if results.outputs[0].kind == "multilabel":
        assert [record.lengths for record in results.of(Memory, "other")] == there
        assert len([record for record in results.of(Start) if record.target == DEVICE]) == len(kind_folders.CASES)
    (timed, *_) = [record for record in results.of(Latency, "other") if record.target == DEVICE]
    assert timed.answers_agreement_fraction == pytest.approx(1)
    assert len(timed.reference_samples_ns) == 1


def test_the_report_has_the_device_beside_this_machine(merged: tuple[Path, Path, str], tmp_path: Path) -> None:
    found = evidence(merged[0])
    assert found.targets == (kind_folders.TARGET, DEVICE)
    render(merged[0], tmp_path / "report", ("markdown",))
    assert "board, cpu, 1 thread" in (tmp_path / "report" / "table.md").read_text()


def test_the_device_says_what_is_as_expected(merged: tuple[Path, Path, str]) -> None:
    said = {
        "values": "examples have the values expected",
        "dense_classes": "examples have the class at each place expected",
        "multilabel": "examples have the labels expected and the values expected of much",
        "token_classes": "examples have the class of each token expected",
        "sequence": "examples have the symbols expected",
    }
    kind = read_results(merged[0]).outputs[0].kind
    assert f"2 of 2 models answered; their {EXAMPLES} {said[kind]}, and no output lies further than" in merged[2]


def test_decisions_that_are_none_of_the_task_are_refused(merged: tuple[Path, Path, str], tmp_path: Path) -> None:
    def spoil(name: str, change: Callable[[Any], Any]) -> Path:
        def edit(lines: list[dict[str, Any]]) -> None:
            answer = lines[1]["answer"]
            arrays = arrays_of(io.BytesIO(base64.b64decode(answer["arrays"])))
            arrays[name] = change(arrays[name])
            answer["arrays"] = base64.b64encode(npz_bytes(arrays)).decode()

        return rewritten(merged[1], tmp_path / "bad.jsonl", edit)

    kind = read_results(merged[0]).outputs[0].kind
    changes: list[tuple[str, Callable[[Any], Any]]] = [("0", lambda a: a[:-1])]
    if kind != "values":
        changes.append(("0", lambda a: np.full_like(a, 9)))
    if kind in ("token_classes", "sequence"):
        changes.append(("0_offsets", lambda a: a[::-1]))
    for name, change in changes:
        with pytest.raises(RecordError, match=r"this record is damaged: the model [0-9a-f]{16} did not answer every"):
            merge(merged[0], spoil(name, change), device="other-board")
