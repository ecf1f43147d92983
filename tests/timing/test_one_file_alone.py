"""Which processes are started for one file alone, with processes that only note it."""

from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import MeasureError
from kdbench.measure.client import Client
from kdbench.timing import one_file_alone
from kdbench.timing.facts import SPENT

FILES = {"a" * 64: Path("a.onnx"), "b" * 64: Path("b.onnx")}
INPUTS = Path("in.npz")
ANSWERS: dict[str, dict[str, Any]] = {
    "start": dict.fromkeys(("batch_size", "runtime_import_ns", "load_ns", "first_inference_ns"), 1),
    "energy": {"counter": "rapl", "batch_size": 1, **dict.fromkeys(SPENT, 1)},
}


class Program(Client):
    """In place of the measuring program: notes what was asked, and leaves an engine in the folder that is named."""

    def __init__(self, folder: Path, provider: str = "cpu", **session: Any) -> None:
        super().__init__(folder, {"provider": provider, **session})
        self.jobs: list[dict[str, Any]] = []
        self.found_empty: list[bool] = []
        self.deadly = ""

    def ask(self, action: str, out: Any = None, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        self.jobs.append({"action": action, **fields})
        if fields["files"][0]["path"] == self.deadly:
            raise MeasureError("it was killed by SIGKILL.")
        if "engine_cache" in fields:
            engine = Path(fields["engine_cache"]) / "engine"
            self.found_empty.append(not engine.exists())
            engine.touch()
        return ANSWERS[action]


def test_a_start_is_three_processes_a_file_at_the_first_batch_size(tmp_path: Path) -> None:
    program = Program(tmp_path)
    found = one_file_alone.start(program, FILES, INPUTS, 4)
    assert [len(answers) for answers in found.values()] == [3, 3]  # type: ignore[arg-type]
    assert [job["files"][0]["path"] for job in program.jobs] == ["a.onnx"] * 3 + ["b.onnx"] * 3
    assert {job["batch_size"] for job in program.jobs} == {4}
    assert not any("engine_cache" in job for job in program.jobs)


@pytest.mark.parametrize("provider", ["tensorrt", "openvino", "migraphx"])
def test_where_engines_are_built_one_process_more_begins_without_any(provider: str, tmp_path: Path) -> None:
    program = Program(tmp_path, provider)
    found = one_file_alone.start(program, FILES, INPUTS, 4)
    assert [len(answers) for answers in found.values()] == [4, 4]  # type: ignore[arg-type]
    assert program.found_empty == [True, False, False, False] * 2
    assert len({job["engine_cache"] for job in program.jobs}) == 2


def test_an_engine_folder_of_the_users_own_is_left_to_them(tmp_path: Path) -> None:
    own = Program(tmp_path, "openvino", options={"cache_dir": "/mine"})
    found = one_file_alone.start(own, {"a" * 64: Path("a.onnx")}, INPUTS, 4)
    assert [len(answers) for answers in found.values()] == [3]  # type: ignore[arg-type]
    assert not own.found_empty


def test_energy_is_read_in_three_processes_at_each_batch_size_where_there_is_a_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_file_alone.counters, "counter", lambda provider: ("rapl", ""))
    program = Program(tmp_path)
    found = one_file_alone.energy(program, {"a" * 64: Path("a.onnx")}, INPUTS, [4, 8], print)
    assert list(found) == [("a" * 64, 4), ("a" * 64, 8)]
    assert [job["batch_size"] for job in program.jobs] == [4] * 3 + [8] * 3
    assert {(job["min_ns"], job["idle_ns"]) for job in program.jobs} == {(2_000_000_000, 1_000_000_000)}


def test_without_a_counter_no_process_is_started_and_the_log_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_file_alone.counters, "counter", lambda provider: (None, f"nothing counts {provider}."))
    program, said = Program(tmp_path), []
    assert one_file_alone.energy(program, FILES, INPUTS, [4], said.append) == {}
    assert program.jobs == []
    assert said == ["no energy is measured: nothing counts cpu."]


def test_a_process_that_fails_is_its_files_answer_and_the_next_file_is_asked(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.deadly = "a.onnx"
    first, second = one_file_alone.start(program, FILES, INPUTS, 4).values()
    assert str(first) == "it was killed by SIGKILL."
    assert isinstance(second, list)
    assert len(second) == 3
