"""A command's process group: killed whole, its output bounded, its ending told."""

import os
import sys
import time
from pathlib import Path

import pytest

from kdbench.errors import MeasureError
from kdbench.measure import process

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")


def test_what_a_command_says_and_how_it_ends_come_back() -> None:
    ended = process.run(["sh", "-c", "echo to say; echo first >&2; echo 'then this.' >&2; exit 7"])
    assert (ended.code, ended.signal) == (7, None)
    assert ended.out == "to say\n"
    assert ended.last_line == "then this"
    assert process.run(["sh", "-c", "kill -ABRT $$"]).signal == "SIGABRT"


def test_one_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    script = f"sleep 60 & echo $! > {note}; wait"
    with pytest.raises(MeasureError, match=r"^sh took longer than 0\.5 s, and was ended\.$"):
        process.run(["sh", "-c", script], timeout_s=0.5)
    assert _is_gone(int(note.read_text()))


def test_a_child_that_a_command_leaves_behind_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "child"
    begin = time.monotonic()
    process.run(["sh", "-c", f"sleep 60 & echo $! > {note}"])
    assert time.monotonic() - begin < 30
    assert _is_gone(int(note.read_text()))


def test_of_one_that_never_stops_printing_the_end_alone_is_kept() -> None:
    flood = "import sys\nfor _ in range(64): sys.stderr.write('x' * 2**20)\nsys.stderr.write('\\nthe end\\n')"
    ended = process.run([sys.executable, "-c", flood])
    assert len(ended.err) == process.MOST_BYTES
    assert ended.last_line == "the end"


def _is_gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; nobody but the system's first process reaps it."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
