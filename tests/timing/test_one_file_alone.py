"""Which processes are started for one file alone, and how files are put together, with processes that only note it."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdbench.errors import MeasureError
from kdbench.stages import measure
from kdbench.timing import one_file_alone

FILES = [{"digest": "a" * 64, "path": "a.onnx"}, {"digest": "b" * 64, "path": "b.onnx"}]


class Asked:
    """Notes what was asked, and whether the engine folder named was empty; leaves an engine in it."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.found_empty: list[bool] = []

    def __call__(self, work: Any, action: str, folder: Path, **fields: Any) -> dict[str, Any]:
        self.jobs.append({"action": action, "folder": folder, **fields})
        if "engine_cache" in fields:
            engine = Path(fields["engine_cache"]) / "engine"
            self.found_empty.append(not engine.exists())
            engine.touch()
        return {"number": len(self.jobs)}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(one_file_alone, "ask", asked)
    return asked


def work(tmp_path: Path, provider: str = "cpu", **session: Any) -> Any:
    target = {"session": {"provider": provider, **session}, "python": None}
    spec = SimpleNamespace(settings={"target": target, "batch_sizes": [4, 8]})
    return SimpleNamespace(spec=spec, out=tmp_path, log=logging.getLogger("kdbench.test"))


def test_a_start_is_three_processes_a_file_at_the_first_batch_size(tmp_path: Path, asked: Asked) -> None:
    found = one_file_alone.start(work(tmp_path), FILES, "in.npz")
    assert [len(answers) for answers in found.values()] == [3, 3]  # type: ignore[arg-type]
    assert [(job["files"], job["batch_size"]) for job in asked.jobs] == [([file], 4) for file in FILES for _ in "123"]
    assert not any("engine_cache" in job for job in asked.jobs)


@pytest.mark.parametrize("provider", ["tensorrt", "openvino", "migraphx"])
def test_where_engines_are_built_one_process_more_begins_without_any(
    provider: str, tmp_path: Path, asked: Asked
) -> None:
    found = one_file_alone.start(work(tmp_path, provider), FILES, "in.npz")
    assert [len(answers) for answers in found.values()] == [4, 4]  # type: ignore[arg-type]
    assert asked.found_empty == [True, False, False, False] * 2
    assert len({job["engine_cache"] for job in asked.jobs}) == 2


def test_an_engine_folder_of_the_users_own_is_left_to_them(tmp_path: Path, asked: Asked) -> None:
    own = work(tmp_path, "openvino", options={"cache_dir": "/mine"})
    found = one_file_alone.start(own, FILES[:1], "in.npz")
    assert [len(answers) for answers in found.values()] == [3]  # type: ignore[arg-type]
    assert not asked.found_empty


def test_energy_is_read_in_three_processes_at_each_batch_size_where_there_is_a_counter(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_file_alone.counters, "counter", lambda provider: ("rapl", ""))
    found = one_file_alone.energy(work(tmp_path), FILES[:1], "in.npz")
    assert list(found) == [("a" * 64, 4), ("a" * 64, 8)]
    assert [job["batch_size"] for job in asked.jobs] == [4] * 3 + [8] * 3
    assert {(job["min_ns"], job["idle_ns"]) for job in asked.jobs} == {(2_000_000_000, 1_000_000_000)}


def test_without_a_counter_no_process_is_started_and_the_log_says_why(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(one_file_alone.counters, "counter", lambda provider: (None, f"nothing counts {provider}."))
    with caplog.at_level(logging.INFO):
        assert one_file_alone.energy(work(tmp_path), FILES, "in.npz") == {}
    assert asked.jobs == []
    assert caplog.messages == ["no energy is measured: nothing counts cpu."]


def test_a_process_that_fails_is_its_files_answer_and_the_next_file_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(work: Any, action: str, folder: Path, files: Any, **fields: Any) -> dict[str, Any]:
        if files == FILES[:1]:
            raise MeasureError("it was killed by SIGKILL.")
        return {}

    monkeypatch.setattr(one_file_alone, "ask", ask)
    first, second = one_file_alone.start(work(tmp_path), FILES, "in.npz").values()
    assert str(first) == "it was killed by SIGKILL."
    assert second == [{}] * 3


class File:
    """Stands for a stage's file: its own digest and its references'."""

    def __init__(self, *digests: str) -> None:
        self.digests = digests

    def paths(self) -> dict[str, Path]:
        return {digest: Path(digest) for digest in self.digests}


def test_a_group_holds_so_many_distinct_files_with_the_references_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FILES_PER_PROCESS", 4)
    files: Any = [File("base", "a"), File("base", "b", "b-before"), File("base", "c", "c-before"), File("base", "c")]
    assert list(measure._groups(files)) == [files[:2], files[2:]]


def test_a_file_with_more_references_than_a_group_holds_is_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FILES_PER_PROCESS", 1)
    files: Any = [File("base", "a"), File("base", "b")]
    assert list(measure._groups(files)) == [files[:1], files[1:]]
