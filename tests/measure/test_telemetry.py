"""onnxruntime's official builds report what they run, and keep a folder in the user's cache: never from kdbench."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.handover.program import sources

VARIABLE = "ORT_DISABLE_TELEMETRY"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it, and no word of telemetry."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    for name in (VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return place


def test_the_packed_program_runs_a_model_and_leaves_nothing_in_the_home_folder(
    home: Path, tmp_path: Path, program: Path
) -> None:
    request = tmp_path / "job.json"
    request.write_text(json.dumps({"schema": 1, "action": "try", "provider": "cpu"}))
    subprocess.run([sys.executable, "-E", str(program), str(request), str(tmp_path / "out")], check=True)
    assert json.loads((tmp_path / "out" / "try.json").read_text())["works"]
    assert list(home.iterdir()) == []


def test_whatever_is_imported_of_kdbench_comes_after_the_word_against_it(home: Path) -> None:
    code = f"import kdbench.errors, os, sys; print('onnxruntime' in sys.modules, os.environ.get('{VARIABLE}'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False 1\n"


def test_a_handed_over_program_says_it_by_itself(home: Path, tmp_path: Path) -> None:
    for name, text in sources(None).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    code = f"import os, sys, predict; print('kdbench' in sys.modules, os.environ.get('{VARIABLE}'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "False 1\n"


def test_a_user_who_wants_it_keeps_it(home: Path) -> None:
    code = f"import kdbench, os; print(os.environ['{VARIABLE}'])"
    environment = {**os.environ, VARIABLE: "0"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "0\n"
