"""A runtime's upgrade from folder to verdict: the same files under two interpreters, one of them tampered with."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from gate_folders import WIDE, Folder, Net

from kdbench.check import Checked, Verdict
from kdbench.check.upgrade import check_upgrade
from kdbench.cli import cli
from kdbench.measure.answers import TimedFile, TimedProcess, Timing
from kdbench.timing.duel import Effort
from kdbench.timing.two_interpreters import TwoInterpreters
from kdbench.timing.verdict_rule import Rule

QUICK = Effort(calls=200, seconds=0.0)
SHORT = Rule(first=1, fresh=3)
"""Fewer processes: what is injected here is large, and the tolerance wide."""

THRICE = """
import runpy, sys, onnxruntime
once = onnxruntime.InferenceSession.run_with_iobinding
onnxruntime.InferenceSession.run_with_iobinding = lambda self, *given: [once(self, *given) for _ in range(3)] and None
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A Python whose onnxruntime takes three times as long for a call."""


def tampering(path: Path, line: str) -> str:
    """This interpreter, behind a shell's line that changes the job ($3) that it is given."""
    path.write_text(f'#!/bin/sh\n[ -f "$3" ] && {line}\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def upgraded(folder: Path, before: str, after: str) -> Checked:
    return check_upgrade(folder, (before, after), rule=SHORT, effort=QUICK)


def verdicts(found: Checked) -> dict[str, Verdict]:
    return {row.metric: row.verdict for row in found.rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Folder(tmp_path_factory.mktemp("upgrade") / "r", {"from-scratch": Net(layers=40)}, check=WIDE).write()


def test_the_same_interpreter_twice_is_no_regression(folder: Path) -> None:
    found = upgraded(folder, sys.executable, sys.executable)
    assert verdicts(found) == {"accuracy": "ok", "latency": "ok"}
    assert found.exit_code == 0
    accuracy, latency = found.rows
    assert "every example has its class, outputs lie up to 0 % of their range apart" in accuracy.said
    assert len(latency.samples_ns) == len(latency.reference_samples_ns)
    assert any("the same runtime, build for build" in note for note in found.notes)


def test_a_slower_runtime_is_a_confirmed_regression(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thrice.py").write_text(THRICE)
    line = f'exec {sys.executable} {tmp_path / "thrice.py"} "$@"'
    found = upgraded(folder, sys.executable, tampering(tmp_path / "slow", line))
    assert verdicts(found) == {"accuracy": "ok", "latency": "slower"}
    assert found.exit_code == 3


def test_a_runtime_that_answers_otherwise_is_less_accurate(folder: Path, tmp_path: Path) -> None:
    with np.load(folder / "inputs" / "sample-x.npz") as sample:
        arrays = dict(sample)
    np.savez(folder / "inputs" / "turned.npz", **{**arrays, "image": arrays["image"][::-1]})
    found = upgraded(folder, sys.executable, tampering(tmp_path / "wrong", """sed -i 's/sample-x/turned/' "$3" """))
    (accuracy,) = (row for row in found.rows if row.metric == "accuracy")
    assert accuracy.verdict == "less accurate"
    assert "of 40 examples are classed otherwise" in accuracy.said
    assert found.exit_code == 3


def test_an_interpreter_that_measures_nothing_is_an_error_and_no_green(folder: Path, tmp_path: Path) -> None:
    found = upgraded(folder, sys.executable, str(tmp_path / "none"))
    assert verdicts(found) == {"accuracy": "errored"}
    assert found.exit_code == 1
    assert str(tmp_path / "none") in found.rows[0].said


@pytest.mark.parametrize("options", [[], ["--runtime-from", "p"], ["--against", "r", "--runtime-to", "p"]])
def test_one_of_both_ways_must_be_said(folder: Path, options: list[str]) -> None:
    ended = CliRunner().invoke(cli, ["check", str(folder), *options])
    assert ended.exit_code == 2
    assert "give either --against REF, or --runtime-from and --runtime-to" in ended.output


class Recorded:
    """A client whose processes take a set number of calls, and that notes when it was asked."""

    def __init__(self, name: str, calls: int, log: list[str]) -> None:
        self.folder, self.name, self.calls, self.log = Path(), name, calls, log

    def time(self, files: Any, inputs: Path, batch_sizes: Any, number: int, rule: Any) -> TimedProcess:
        self.log.append(self.name)
        calls = list(range(self.calls))
        timing = Timing(
            input_shapes=[[1]], first_inference_ns=1, warmup_ns=[1], samples_ns=calls, thread_cpu_ns=calls[::2]
        )
        timed = {digest: TimedFile(digest, "CPU", ["CPU"], 1, {1: timing}) for digest in files}
        return TimedProcess("onnxruntime", "1", timed, other_cpu_fraction=0.1 * len(self.log))


def test_turns_alternate_and_both_sides_keep_the_same_rounds() -> None:
    log: list[str] = []
    client = TwoInterpreters(Recorded("a", 8, log), Recorded("b", 6, log), {"old"})  # type: ignore[arg-type]
    rule = {"round_call_count": 2, "min_calls": 10, "min_ns": 0}
    files = {"old": Path("o"), "new": Path("n")}
    answer = client.time(files, Path(), [1], 0, rule)
    assert log == ["a", "b", "b", "a"]
    client.time(files, Path(), [1], 1, rule)
    assert log[4:] == ["b", "a", "a", "b"]
    old, new = (answer.files[digest] for digest in files)
    assert isinstance(old, TimedFile)
    assert isinstance(new, TimedFile)
    assert new.by_batch[1].samples_ns == [0, 1, 2, 3, 4, 5] * 2
    assert len(old.by_batch[1].samples_ns) == 12  # six rounds of its eight
    assert len(old.by_batch[1].thread_cpu_ns or ()) == 6
    assert old.by_batch[1].samples_ns[:2] == [0, 1]
    assert answer.other_cpu_fraction == pytest.approx(0.4)
