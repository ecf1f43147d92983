"""Any console, any error: exit codes survive, a user reads a sentence, `--debug` shows the rest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """kdbench: 1
name: s
task: digits
seeds: [0]
recipes: {train: {epochs: 1}, finetune: {epochs: 1}}
student: {model: "net.py:Net"}
cases: {from-scratch: []}
measure: [{provider: cpu}]
"""
NET = """from kdbench.protocols import Model

class Net(Model):
    \"\"\"\u03bc \u2265 \u4e2d caf\u00e9\"\"\"
    def build(self, task):
        return task
    def layers(self):
        return {}["gone"]
    def pretrained(self):
        return None
"""


def kdbench(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "kdbench", *arguments],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.yaml").write_text(SUITE)
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "koi8-r"])
def test_what_a_console_cannot_show_is_written_with_what_it_can(folder: Path, encoding: str) -> None:
    done = kdbench(folder, "describe", "net.py:Net", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    assert ">= ?" in shown or "\u2265 ?" in shown
    assert "caf" in shown


def test_what_a_users_own_code_raises_is_told_with_its_line(folder: Path) -> None:
    (folder / "net.py").write_text(NET.replace("def pretrained", "def renamed"), encoding="utf-8")
    done = kdbench(folder, "describe", "fitnet", "--suite", "s.yaml")
    assert done.returncode == 2
    said = done.stderr.decode().strip()
    assert said.endswith("net.py:8: KeyError: 'gone'")
    assert "Traceback" not in said
    assert "Traceback" in kdbench(folder, "describe", "fitnet", "--suite", "s.yaml", "--debug").stderr.decode()


def test_a_part_that_ends_the_program_while_a_suite_is_planned_is_told_with_its_line(folder: Path) -> None:
    ends = NET + "    def identity(self):\n        raise SystemExit(0)\n"
    (folder / "net.py").write_text(ends, encoding="utf-8")
    done = kdbench(folder, "validate", "s.yaml")
    assert done.returncode == 2
    said = "the code ended the program with sys.exit(0); a part returns or raises an error."
    assert done.stderr.decode().strip().endswith(f"net.py:12: {said}")


def test_debug_may_stand_before_or_behind_the_verb(folder: Path) -> None:
    for arguments in (("--debug", "validate", "none.yaml"), ("validate", "none.yaml", "--debug")):
        done = kdbench(folder, *arguments)
        assert done.returncode == 2
        assert b"Traceback" in done.stderr
    done = kdbench(folder, "validate", "none.yaml")
    assert done.stderr.decode() == "none.yaml: cannot be read (No such file or directory).\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_output_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kdbench", "list", "models"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "the output cannot be written (No space left on device).\n"


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "kdbench", "list", "models"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert done.stderr == b""
    assert done.returncode == 141
