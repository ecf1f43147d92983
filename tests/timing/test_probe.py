"""Questions to interpreters: what is cached, and where no cache can be written."""

from pathlib import Path
from typing import Any

import pytest

from kdbench.timing import probe


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Sessions of which an interpreter was asked for its runtime."""
    sessions: list[dict[str, Any]] = []

    def describe(python: str | None, session: dict[str, Any]) -> dict[str, Any]:
        sessions.append(session)
        return {"fingerprint": f"{len(sessions)}"}

    monkeypatch.setattr(probe, "_describe", describe)
    return sessions


def test_an_interpreter_is_asked_once_for_each_runtime(
    asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path))
    found = [
        probe.runtime(None, provider)["fingerprint"] for provider in ("cpu", "openvino", "torch", "torch_compiled")
    ]
    assert found == ["1", "1", "2", "2"]
    assert asked == [{"provider": "cpu"}, {"provider": "torch"}]


def test_where_the_cache_cannot_be_written_the_answer_comes_all_the_same(
    asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "file"))
    assert [probe.runtime(None)["fingerprint"] for _ in "12"] == ["1", "2"]
