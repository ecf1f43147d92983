"""How often a process of a duel loads its files, and that the luck of one load is outvoted."""

import math
from pathlib import Path
from typing import Any

import onnx
import pytest

from kdbench.files import sha256_of
from kdbench.timing import duel as module
from kdbench.timing.copies import several
from kdbench.timing.duel import USUAL, Duel, Effort, Pair, duel
from kdbench.timing.random_inputs import write_small_network

TEXTS = {"new": b"new", "reference": b"reference"}
CALL_NS = 100_000


class Program:
    """In place of the measuring program: every load takes as long as the others, but for its luck."""

    def __init__(self, luck: dict[int, float]) -> None:
        self.luck = luck
        """Place of a load of the new file -> factor of its times."""
        self.jobs: list[dict[str, Any]] = []

    def __call__(self, entry: dict[str, Any], action: str, folder: Path, **job: Any) -> dict[str, Any]:
        self.jobs.append(job)
        loaded = [file for file in job["files"] if Path(file["path"]).read_bytes().startswith(b"new")]
        loaded.sort(key=lambda file: Path(file["path"]).name)
        places = {file["digest"]: place for place, file in enumerate(loaded)}
        return {"files": [self._file(job, file, places.get(file["digest"])) for file in job["files"]]}

    def _file(self, job: dict[str, Any], file: dict[str, str], place: int | None) -> dict[str, Any]:
        factor = 1.0 if place is None else self.luck.get(place, 1.0)
        samples = [round(CALL_NS * factor)] * -(-job["min_calls"] // job["round_call_count"]) * job["round_call_count"]
        return {"digest": file["digest"], "by_batch": {"1": {"samples_ns": samples}}}


def fight(folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch, effort: Effort = USUAL) -> Duel:
    monkeypatch.setattr(module, "ask", program)
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    pair = Pair("a pair", folder / "new", folder / "reference", 1.03)
    (found,) = duel([pair], folder / "in.npz", {"provider": "cpu"}, 1, None, folder / "scratch", effort=effort)
    return found


def test_each_process_loads_both_files_four_times_and_shares_the_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program({})
    found = fight(tmp_path, program, monkeypatch)
    assert found.verdict == "ok"
    assert [len({file["digest"] for file in job["files"]}) for job in program.jobs] == [8, 8, 8]
    assert {job["min_calls"] for job in program.jobs} == {250}
    assert [len(process) for process in found.samples_ns] == [4 * 260] * 3  # 250 calls are 13 rounds of 20
    for job in program.jobs:
        assert all(sha256_of(Path(file["path"])) == file["digest"] for file in job["files"])


def test_an_unlucky_load_is_outvoted_and_a_slower_file_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky = fight(tmp_path, Program({1: 1.05}), monkeypatch)
    assert (unlucky.verdict, unlucky.ratio) == ("ok", 1.0)
    slower = fight(tmp_path, Program(dict.fromkeys(range(4), 1.05)), monkeypatch)
    assert slower.verdict == "slower"
    assert slower.second == pytest.approx([math.log(1.05)] * 7)


def test_large_files_are_loaded_fewer_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(map(len, TEXTS.values()))
    for most, loads in ((3 * size, 3), (size - 1, 1)):
        monkeypatch.setattr(module, "MOST_LOADED_BYTES", most)
        program = Program({})
        fight(tmp_path, program, monkeypatch)
        assert len(program.jobs[0]["files"]) == 2 * loads
        assert program.jobs[0]["min_calls"] == -(-1000 // loads)


def test_the_several_files_of_a_model_are_one_model(tmp_path: Path) -> None:
    network = write_small_network(tmp_path / "small.onnx")
    files = several(network, tmp_path, 3)
    models = [onnx.load(path) for path in files.values()]
    assert len({model.doc_string for model in models}) == len(models) == 3
    for model in models:
        model.ClearField("doc_string")
    assert len({model.SerializeToString() for model in models}) == 1
