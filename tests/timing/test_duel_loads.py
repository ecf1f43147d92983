"""How often a process of a duel loads its files, and that the luck of one load is outvoted."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import made_answers as made
import onnx
import pytest

from kdbench.files import sha256_of
from kdbench.measure.answers import TimedProcess
from kdbench.measure.client import Client, Files
from kdbench.timing import duel as module
from kdbench.timing.copies import several
from kdbench.timing.duel import USUAL, Duel, Effort, Pair, duel
from kdbench.timing.random_inputs import write_small_network

TEXTS = {"new": b"new", "reference": b"reference"}
CALL_NS = 100_000


class Program(Client):
    """In place of the measuring program: every load takes as long as the others, but for its luck."""

    def __init__(self, folder: Path, luck: Mapping[int, float]) -> None:
        super().__init__(folder, {"provider": "cpu"})
        self.luck = luck
        """Place of a load of the new file -> factor of its times."""
        self.asked: list[dict[str, Path]] = []
        self.min_calls: set[int] = set()

    def time(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], number: int, rule: Mapping[str, int]
    ) -> TimedProcess:
        self.asked.append(dict(files))
        self.min_calls.add(rule["min_calls"])
        loaded = [digest for digest, path in files.items() if path.read_bytes().startswith(b"new")]
        places = {digest: place for place, digest in enumerate(sorted(loaded, key=lambda digest: files[digest].name))}
        calls = -(-rule["min_calls"] // rule["round_call_count"]) * rule["round_call_count"]
        took = {digest: CALL_NS * self.luck.get(places.get(digest, -1), 1.0) for digest in files}
        answers = [made.timed(digest, {1: made.timing([round(ns)] * calls)}) for digest, ns in took.items()]
        return made.process(answers, list(files))


def fight(program: Program, effort: Effort = USUAL) -> Duel:
    folder = program.folder.parent
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    pair = Pair("a pair", folder / "new", folder / "reference", 1.03)
    (found,) = duel([pair], program, folder / "in.npz", 1, effort=effort)
    return found


def test_each_process_loads_both_files_four_times_and_shares_the_calls(tmp_path: Path) -> None:
    program = Program(tmp_path / "scratch", {})
    found = fight(program)
    assert found.verdict == "ok"
    assert [len(files) for files in program.asked] == [8, 8, 8]
    assert program.min_calls == {250}
    assert [len(process) for process in found.samples_ns] == [4 * 260] * 3  # 250 calls are 13 rounds of 20
    for files in program.asked:
        assert all(sha256_of(path) == digest for digest, path in files.items())


def test_an_unlucky_load_is_outvoted_and_a_slower_file_is_not(tmp_path: Path) -> None:
    unlucky = fight(Program(tmp_path / "scratch", {1: 1.05}))
    assert (unlucky.verdict, unlucky.ratio) == ("ok", 1.0)
    slower = fight(Program(tmp_path / "scratch", dict.fromkeys(range(4), 1.05)))
    assert slower.verdict == "slower"
    assert slower.second == pytest.approx([math.log(1.05)] * 7)


def test_large_files_are_loaded_fewer_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(map(len, TEXTS.values()))
    for most, loads in ((3 * size, 3), (size - 1, 1)):
        monkeypatch.setattr(module, "MOST_LOADED_BYTES", most)
        program = Program(tmp_path / "scratch", {})
        fight(program)
        assert len(program.asked[0]) == 2 * loads
        assert program.min_calls == {-(-1000 // loads)}


def test_the_several_files_of_a_model_are_one_model(tmp_path: Path) -> None:
    network = write_small_network(tmp_path / "small.onnx")
    files = several(network, tmp_path, 3)
    models = [onnx.load(path) for path in files.values()]
    assert len({model.doc_string for model in models}) == len(models) == 3
    for model in models:
        model.ClearField("doc_string")
    assert len({model.SerializeToString() for model in models}) == 1
