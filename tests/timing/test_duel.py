"""Duels on an invented clock: how many processes a pair gets, in which order, and whose fault is whose."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.timing import duel as module
from kdbench.timing.duel import Duel, Effort, Pair, duel

Ratio = Callable[[int], float]
EFFORT = Effort(calls=100, seconds=0, round_call_count=20)


class Program:
    """In place of the measuring program: files take as long as their text says, times a factor of the process."""

    def __init__(self, drift: Ratio = lambda process: 1.0) -> None:
        self.drift = drift
        self.jobs: list[dict[str, Any]] = []
        self.faults: dict[str, str] = {}
        """Text of a file -> what it fails with."""
        self.deadly = ""

    def __call__(self, entry: dict[str, Any], action: str, folder: Path, **job: Any) -> dict[str, Any]:
        assert action == "time"
        self.jobs.append(job)
        texts = [Path(file["path"]).read_text() for file in job["files"]]
        if self.deadly in texts and self.deadly:
            raise MeasureError("the measuring process was killed by SIGKILL: it said nothing.")
        return {"files": [self._file(job, file, text) for file, text in zip(job["files"], texts, strict=True)]}

    def _file(self, job: dict[str, Any], file: dict[str, str], text: str) -> dict[str, Any]:
        if text in self.faults:
            return {"digest": file["digest"], "error": self.faults[text]}
        name, _, took = text.partition(" ")
        factor = self.drift(job["process"]) if name.startswith("new") else 1.0
        samples = [round(int(took) * factor)] * job["min_calls"]
        return {"digest": file["digest"], "by_batch": {str(job["batch_sizes"][0]): {"samples_ns": samples}}}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program()
    monkeypatch.setattr(module, "ask", made)
    return made


def fight(folder: Path, *texts: tuple[str, str]) -> list[Duel]:
    """A pair for each (new, reference), texts of files: "name nanoseconds"."""
    pairs = [Pair(new, _file(folder, new), _file(folder, its), 1.03) for new, its in texts]
    return duel(pairs, folder / "in.npz", {"provider": "cpu"}, 1, None, folder, effort=EFFORT)


def _file(folder: Path, text: str) -> Path:
    path = folder / text.replace(" ", "-")
    path.write_text(text)
    return path


def test_equal_files_get_three_processes(tmp_path: Path, program: Program) -> None:
    (found,) = fight(tmp_path, ("new 100000", "old 100000"))
    assert (found.verdict, found.ratio, len(program.jobs)) == ("ok", 1.0, 3)
    assert found.second == ()


def test_a_slower_file_gets_seven_fresh_ones_that_decide(tmp_path: Path, program: Program) -> None:
    (found,) = fight(tmp_path, ("new 103000", "old 100000"))
    assert found.verdict == "slower"
    assert [job["process"] for job in program.jobs] == list(range(10))
    assert found.second == pytest.approx([math.log(1.03)] * 7)
    assert found.ratio == pytest.approx(1.03)
    assert len(found.samples_ns) == len(found.reference_samples_ns) == 10


def test_an_alarm_that_fresh_processes_do_not_confirm_is_none(tmp_path: Path, program: Program) -> None:
    program.drift = lambda process: 1.05 if process < 3 else 1.0
    (found,) = fight(tmp_path, ("new 100000", "old 100000"))
    assert (found.verdict, found.ratio) == ("ok", 1.0)
    assert found.first == pytest.approx([math.log(1.05)] * 3)


def test_only_the_doubtful_go_into_stage_two(tmp_path: Path, program: Program) -> None:
    found = fight(tmp_path, ("new-a 100000", "old 100000"), ("new-b 110000", "old 100000"))
    assert [each.verdict for each in found] == ["ok", "slower"]
    assert [len(job["files"]) for job in program.jobs] == [3] * 3 + [2] * 7  # the reference is loaded once


def test_which_of_a_pair_is_loaded_first_changes_from_process_to_process(tmp_path: Path, program: Program) -> None:
    fight(tmp_path, ("new 100000", "old 100000"))
    new = sha256_of(tmp_path / "new-100000")
    assert [job["files"][0]["digest"] == new for job in program.jobs] == [True, False, True]


def test_the_same_bytes_are_not_timed(tmp_path: Path, program: Program) -> None:
    (found,) = fight(tmp_path, ("same 100000", "same 100000"))
    assert (found.verdict, found.identical, found.ratio) == ("ok", True, 1.0)
    assert program.jobs == []


def test_a_file_that_fails_has_the_sentence_and_the_others_go_on(tmp_path: Path, program: Program) -> None:
    program.faults = {"new-b 100000": "it does not run."}
    bad, good = fight(tmp_path, ("new-b 100000", "old 100000"), ("new-a 100000", "old 100000"))
    assert (bad.verdict, bad.error, bad.ratio) == (None, "it does not run.", None)
    assert good.verdict == "ok"
    assert len(program.jobs) == 3


def test_after_a_death_each_pair_is_timed_alone(tmp_path: Path, program: Program) -> None:
    program.deadly = "new-b 100000"
    good, bad = fight(tmp_path, ("new-a 100000", "old 100000"), ("new-b 100000", "old 100000"))
    assert good.verdict == "ok"
    assert len(good.samples_ns) == 3  # none of the process that died is left
    assert (bad.verdict, bad.samples_ns) == (None, ())
    assert bad.error == "the measuring process was killed by SIGKILL: it said nothing."


def test_many_pairs_go_round_in_groups(tmp_path: Path, program: Program) -> None:
    found = fight(tmp_path, *[(f"new-{number} 100000", f"old-{number} 100000") for number in range(9)])
    assert {each.verdict for each in found} == {"ok"}
    assert [len(job["files"]) for job in program.jobs] == [16] * 3 + [2] * 3
