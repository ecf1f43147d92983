"""A doctor that does not watch for long and asks no torch, and scripts that only look like Python."""

from pathlib import Path

import pytest
from environments import Script

from kdbench.doctor import machine
from kdbench.timing import probe


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds that importing torch takes, and watching for one tick only."""
    monkeypatch.setattr(machine, "WATCH_S", 0.02)
    monkeypatch.setattr(probe, "torch_devices", lambda: {"version": "2.0", "devices": {"cpu": ["cpu"]}})


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes a shell script that is named as an interpreter."""

    def make(text: str) -> Path:
        path = tmp_path / "scripts" / "python"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make
