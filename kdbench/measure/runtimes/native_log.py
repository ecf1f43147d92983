"""The standard error of native code: only there does a runtime say why a provider did not load."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LOG_HEAD = re.compile(r"^[\d-]+ [\d:.]+ \[[EF]:onnxruntime[^\]]*\] ")
"""The head of an error in onnxruntime's log: time, level, place."""
MARKS = (" with error: ", " FAIL : ", "[ERROR] ")
"""Texts that precede the most telling message: why a library did not load, else what failed, else the objection of a
provider."""


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Lines that this process writes on standard error meanwhile, native code included; filled in at the end.

    They go where they were going, too.
    """
    lines: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            written = file.read()
            with contextlib.suppress(OSError):
                os.write(2, written)
            text = COLOUR.sub("", written.decode("utf-8", "replace"))
            lines += [line.strip() for line in text.splitlines() if line.strip()]


def cause(said: list[str]) -> str | None:
    """The most telling message of a runtime's log; None where there is no error in it."""
    for mark in MARKS:
        for line in said:
            if mark in line:
                return line.split(mark, 1)[1]
    errors = [LOG_HEAD.sub("", line) for line in said if LOG_HEAD.match(line)]
    return errors[-1] if errors else None
