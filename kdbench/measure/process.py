"""A command in a process group of its own: killed whole, its output kept only as far as a sentence needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from kdbench.errors import MeasureError

MOST_BYTES = 2**20
"""The end of what a command writes that is kept, in memory; the rest is read and dropped."""
LAST_WORDS_S = 2.0
"""How long to wait, after the group was killed, for output that a process outside of it still holds open."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    """Its exit code; of a process that a signal ended, minus the signal's number."""
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line on standard error, without a full stop; empty where there is none."""
        return (self.err.strip().splitlines() or [""])[-1].strip().rstrip(".")

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it ("SIGSEGV"); None where it ended by itself."""
        if self.code >= 0:
            return None
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal {-self.code}"


def run(command: Sequence[str], timeout_s: float | None = None) -> Ended:
    """Run a command to its end, then kill whatever it left running in its process group.

    Its standard input stays open and empty for as long as this process lives: a command may take its end as the sign
    to stop. Raises MeasureError where the command cannot be started or takes longer than `timeout_s`.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, which a timeout or an interrupt can kill whole
        )
    except OSError as error:
        raise MeasureError(f"cannot start {command[0]} ({error.strerror}).") from None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = _Tail(process.stdout), _Tail(process.stderr)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"{command[0]} took longer than {timeout_s:g} s, and was ended.") from None
    finally:
        _kill_group(process)
        process.stdin.close()
        texts = [tail.text() for tail in (out, err)]
    return Ended(code, *texts)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS says so by the latter)
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


class _Tail:
    """The last MOST_BYTES that come out of a pipe, read by a thread so that the writer never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._data = pipe, bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            part = os.read(self._pipe.fileno(), 2**16)
            if not part:
                self._pipe.close()
                return
            self._data += part
            del self._data[:-MOST_BYTES]

    def text(self) -> str:
        """The text so far, once the pipe is closed or `LAST_WORDS_S` are over."""
        self._thread.join(LAST_WORDS_S)
        return bytes(self._data).decode("utf-8", "replace")
