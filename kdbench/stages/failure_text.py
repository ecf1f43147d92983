"""The sentence that tells a user why a stage failed, with the line of their own code where it came through that."""

import errno
import os
import re

from kdbench.errors import KdbenchError, users_line

FULL = (errno.ENOSPC, errno.EDQUOT)
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written|PytorchStreamWriter failed writing|unexpected pos \d+")
"""How numpy and torch word a write that a full disk cut short; neither gives an errno."""
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def sentence(error: BaseException) -> str:
    """One line: FILE:LINE of the user's own code if the error came through that, its type and its text."""
    if isinstance(error, KdbenchError):
        return str(error)
    if _is_full_disk(error):
        return "no space left on the disk of the store; free some, or name another with --store, and run again."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory ({_first_line(error)}); try a smaller batch_size, or fewer --jobs."
    if isinstance(error, SystemExit):
        said = f"the code ended its process with sys.exit({error.code!r}); a part returns or raises an error."
    else:
        said = f"{type(error).__name__}: {_first_line(error)}"
    place = users_line(error)
    return f"{place}: {said}" if place else said


def _is_full_disk(error: BaseException) -> bool:
    """Whether a full disk is behind it; not every library raises an OSError with an errno."""
    text = str(error)
    return (
        getattr(error, "errno", None) in FULL
        or os.strerror(errno.ENOSPC) in text
        or (isinstance(error, OSError | RuntimeError) and SHORT_WRITE.search(text) is not None)
    )


def _first_line(error: BaseException) -> str:
    """The first line that says something, with the next one where it ends in a colon."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return "(no message)"
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
