"""How files are put together to be timed, and what is kept when a process of theirs dies."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdbench import stages
from kdbench.errors import MeasureError
from kdbench.stages import measure
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages


class File:
    """Stands for a stage's file: its own digest, its references', and how it goes when it is timed."""

    def __init__(self, *digests: str) -> None:
        self.digests = digests
        self.work = SimpleNamespace(spec=SimpleNamespace(key=digests[-1]))

    def paths(self) -> dict[str, Path]:
        return {digest: Path(digest) for digest in self.digests}

    def asked(self, lengths: dict[str, int]) -> list[str]:
        return [self.digests[-1]]


def test_a_group_holds_so_many_distinct_files_with_the_references_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FILES_PER_PROCESS", 4)
    files: Any = [File("base", "a"), File("base", "b", "b-before"), File("base", "c", "c-before"), File("base", "c")]
    assert list(measure._groups(files)) == [files[:2], files[2:]]


def test_a_file_with_more_references_than_a_group_holds_is_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FILES_PER_PROCESS", 1)
    files: Any = [File("base", "a"), File("base", "b")]
    assert list(measure._groups(files)) == [files[:1], files[1:]]


def test_where_a_process_dies_each_of_its_files_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[list[str]] = []

    def heard(group: Any) -> list[tuple[dict[str, int], str]]:
        names = [file.digests[-1] for file in group.files]
        timed.append(names)
        if "deadly" in names:
            raise MeasureError("onnxruntime's process crashed with SIGSEGV.")
        return [({}, "heard")]

    monkeypatch.setattr(measure._Group, "_heard", heard)
    monkeypatch.setattr(measure, "facts_of", lambda file, heard: file)
    monkeypatch.setattr(measure, "_together", lambda found: [name for names in found for name in names])
    group = measure._Group([File("base", name) for name in ("good", "deadly", "fine")])  # type: ignore[misc]
    found = dict(group.facts())
    assert timed == [["good", "deadly", "fine"], ["good"], ["deadly"], ["fine"]]
    assert (found["good"], found["fine"]) == (["good"], ["fine"])
    assert str(found["deadly"]) == "onnxruntime's process crashed with SIGSEGV."


def test_a_group_that_is_done_is_published_whatever_becomes_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(works: list[Any]) -> Iterator[tuple[str, list[Any]]]:
        yield works[0].spec.key, [{"kind": "latency"}]
        assert Store(tmp_path).has(works[0].spec.key)
        raise OSError("the machine went to sleep")

    monkeypatch.setattr(stages, "function", lambda kind: measured)
    specs = [StageSpec("measure", 1, settings={"number": number}) for number in range(2)]
    first, second = run_stages([spec.to_json() for spec in specs], str(tmp_path))
    assert (first.status, second.status) == ("done", "failed")
    assert second.reason.endswith("OSError: the machine went to sleep")
    assert Store(tmp_path).has(first.key)
    assert not Store(tmp_path).has(second.key)
