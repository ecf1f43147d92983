"""What the timed session itself answered, and how a file starts in a process of its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import FileOf, conv_net, gemm_net

from kdbench.errors import MeasureError
from kdbench.measure import timing
from kdbench.measure.client import run_job
from kdbench.measure.jobs import make_job

Job = dict[str, Any]


def test_timed_classes_are_those_that_the_file_predicts_for_every_rotated_batch(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    file = file_of("net", gemm_net())
    asked = {**job, "files": [file]}
    timed = run_job({**asked, "action": "time", "batch_sizes": [1, 4, 16]}, tmp_path / "t", program)["files"][0]
    run_job({**asked, "action": "predict", "batch_size": 20}, tmp_path / "p", program)
    predicted = np.load(tmp_path / "p" / f"{file['digest']}-0.npy").argmax(1)
    assert len(set(predicted)) > 1
    for batch_size, batch_count in ((1, 8), (4, 5), (16, 1)):  # of 20 examples
        classes = np.array(timed["by_batch"][str(batch_size)]["classes"])
        assert classes.shape == (batch_count, batch_size)
        assert (classes.ravel() == predicted[: batch_count * batch_size]).all()


def test_batches_that_no_timed_call_reached_are_not_answered(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    short = {**job, "min_calls": 3, "round_call_count": 3}
    asked = {**short, "action": "time", "files": [file_of("net", gemm_net())], "batch_sizes": [1]}
    (timed,) = run_job(asked, tmp_path / "out", program)["files"]
    assert len(timed["by_batch"]["1"]["classes"]) == 3


class Session:
    """Answers class 1, and something else once it is timed."""

    providers_got = ("CPUExecutionProvider",)
    provider_asked = "CPUExecutionProvider"
    batch_count = 2

    def __init__(self, timed_answer: list[float]) -> None:
        self.timed_answer = timed_answer

    def own(self, feed: Any) -> Any:
        return feed

    def run(self, feed: Any) -> Any:
        return [np.array([[0.0, 1.0]])]

    def bind(self, feeds: Any) -> "Session":
        return self

    def outputs(self, batch_number: int) -> Any:
        return [np.array([self.timed_answer])]


@pytest.fixture
def time_with(monkeypatch: pytest.MonkeyPatch, job: Job, file_of: FileOf) -> Any:
    def time(*timed_answer: float) -> Any:
        monkeypatch.setattr(timing, "open_session", lambda path, spec: Session([*timed_answer]))
        asked = {**job, "action": "time", "files": [file_of("net", gemm_net())], "batch_sizes": [1]}
        return timing.time_files(make_job(asked))["files"][0]

    return time


def test_a_session_that_answers_otherwise_once_it_is_timed_is_seen(time_with: Any) -> None:
    assert time_with(3.0, 1.0)["by_batch"]["1"]["classes"] == [[0], [0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_timed_outputs_that_are_not_finite_are_an_error_and_no_times(time_with: Any, value: float) -> None:
    found = time_with(0.0, value)
    assert set(found) == {"digest", "error"}
    assert found["error"] == "the timed calls gave outputs that are not finite."


def test_a_start_is_import_load_and_first_answer_of_a_fresh_process(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    asked = {**job, "action": "start", "files": [file_of("net", conv_net())], "batch_size": 2}
    found = run_job(asked, tmp_path / "out", program)
    assert found["modules"] == []
    assert found["batch_size"] == 2
    assert found["runtime_import_ns"] > 1_000_000  # a runtime that was there already would be some microseconds
    assert min(found["load_ns"], found["first_inference_ns"]) > 0


@pytest.mark.parametrize("action", ["start", "energy"])
def test_a_start_and_energy_take_one_file_a_process(
    action: str, tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    two = [file_of("a", conv_net()), file_of("b", gemm_net())]
    with pytest.raises(MeasureError, match=f"action {action} takes one file a process, got 2"):
        run_job({**job, "action": action, "files": two, "batch_size": 1}, tmp_path / "out", program)
    assert json.loads((tmp_path / "out" / "error.json").read_text())["digest"] is None
