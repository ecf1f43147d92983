"""Duels on an invented clock: how many processes a pair gets, in which order, and whose fault is whose."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import made_answers as made
import pytest

from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.measure.answers import OrError, TimedFile, TimedProcess
from kdbench.measure.client import Client, Files
from kdbench.timing.duel import Duel, Effort, Pair, duel

Ratio = Callable[[int], float]
EFFORT = Effort(calls=100, seconds=0, round_call_count=20)


class Program(Client):
    """In place of the measuring program: files take as long as their text says, times a factor of the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"provider": "cpu"})
        self.drift: Ratio = lambda process: 1.0
        self.asked: list[tuple[list[str], int]] = []
        """Digests of each process's files, and its number."""
        self.faults: dict[str, str] = {}
        """Text of a file -> what it fails with."""
        self.deadly = ""

    def time(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], number: int, rule: Mapping[str, int]
    ) -> TimedProcess:
        self.asked.append((list(files), number))
        texts = {digest: path.read_text() for digest, path in files.items()}
        if self.deadly in texts.values() and self.deadly:
            raise MeasureError("onnxruntime crashed with SIGSEGV.")
        answers = [self._file(digest, text, number, rule["min_calls"]) for digest, text in texts.items()]
        return made.process(answers, list(files))

    def _file(self, digest: str, text: str, number: int, calls: int) -> OrError[TimedFile]:
        if text in self.faults:
            return MeasureError(self.faults[text])
        name, _, took = text.partition(" ")
        factor = self.drift(number) if name.startswith("new") else 1.0
        return made.timed(digest, {1: made.timing([round(int(took) * factor)] * calls)})


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "scratch")


def fight(program: Program, *texts: tuple[str, str]) -> list[Duel]:
    """A pair for each (new, reference), texts of files: "name nanoseconds"."""
    folder = program.folder.parent
    pairs = [Pair(new, _file(folder, new), _file(folder, its), 1.03) for new, its in texts]
    return duel(pairs, program, folder / "in.npz", 1, effort=EFFORT)


def _file(folder: Path, text: str) -> Path:
    path = folder / text.replace(" ", "-")
    path.write_text(text)
    return path


def test_equal_files_get_three_processes(program: Program) -> None:
    (found,) = fight(program, ("new 100000", "old 100000"))
    assert (found.verdict, found.ratio, len(program.asked)) == ("ok", 1.0, 3)
    assert found.second == ()


def test_a_slower_file_gets_seven_fresh_ones_that_decide(program: Program) -> None:
    (found,) = fight(program, ("new 103000", "old 100000"))
    assert found.verdict == "slower"
    assert [number for _, number in program.asked] == list(range(10))
    assert found.second == pytest.approx([math.log(1.03)] * 7)
    assert found.ratio == pytest.approx(1.03)
    assert len(found.samples_ns) == len(found.reference_samples_ns) == 10


def test_an_alarm_that_fresh_processes_do_not_confirm_is_none(program: Program) -> None:
    program.drift = lambda process: 1.05 if process < 3 else 1.0
    (found,) = fight(program, ("new 100000", "old 100000"))
    assert (found.verdict, found.ratio) == ("ok", 1.0)
    assert found.first == pytest.approx([math.log(1.05)] * 3)


def test_only_the_doubtful_go_into_stage_two(program: Program) -> None:
    found = fight(program, ("new-a 100000", "old 100000"), ("new-b 110000", "old 100000"))
    assert [each.verdict for each in found] == ["ok", "slower"]
    assert [len(files) for files, _ in program.asked] == [3] * 3 + [2] * 7  # the reference is loaded once


def test_which_of_a_pair_is_loaded_first_changes_from_process_to_process(program: Program) -> None:
    fight(program, ("new 100000", "old 100000"))
    new = sha256_of(program.folder.parent / "new-100000")
    assert [files[0] == new for files, _ in program.asked] == [True, False, True]


def test_the_same_bytes_are_not_timed(program: Program) -> None:
    (found,) = fight(program, ("same 100000", "same 100000"))
    assert (found.verdict, found.identical, found.ratio) == ("ok", True, 1.0)
    assert program.asked == []


def test_a_file_that_fails_has_the_sentence_and_the_others_go_on(program: Program) -> None:
    program.faults = {"new-b 100000": "it does not run."}
    bad, good = fight(program, ("new-b 100000", "old 100000"), ("new-a 100000", "old 100000"))
    assert (bad.verdict, bad.error, bad.ratio) == (None, "it does not run.", None)
    assert good.verdict == "ok"
    assert len(program.asked) == 3


def test_after_a_death_each_pair_is_timed_alone(program: Program) -> None:
    program.deadly = "new-b 100000"
    good, bad = fight(program, ("new-a 100000", "old 100000"), ("new-b 100000", "old 100000"))
    assert good.verdict == "ok"
    assert len(good.samples_ns) == 3  # none of the process that died is left
    assert (bad.verdict, bad.samples_ns) == (None, ())
    assert bad.error == "onnxruntime crashed with SIGSEGV."


def test_many_pairs_go_round_in_groups(program: Program) -> None:
    found = fight(program, *[(f"new-{number} 100000", f"old-{number} 100000") for number in range(9)])
    assert {each.verdict for each in found} == {"ok"}
    assert [len(files) for files, _ in program.asked] == [16] * 3 + [2] * 3
