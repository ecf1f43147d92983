"""The id of a target, `local-cpu-1t-fp32`: made here and taken apart here. Knows no records."""

from __future__ import annotations

import re
from dataclasses import dataclass

HERE = "local"
"""The device of targets that the run itself measured; those of a merged record bear its device's name."""
ANOTHER_MACHINE = "@"
"""Between a target and the fingerprint that sets its records apart from others of the same name."""
NAME = re.compile(
    r"(?P<device>[\w.+-]+)-(?P<provider>\w+)-(?P<threads>\d+)t-(?P<precision>[a-z]+\d*)"
    rf"(?:{ANOTHER_MACHINE}(?P<machine>\w+))?"
)
"""The form that `target_id` gives."""


@dataclass(frozen=True)
class TargetName:
    """The parts of an id."""

    device: str
    provider: str
    """Or the name that a suite gives it."""
    threads: int
    precision: str
    machine: str | None
    """A fingerprint, where records of several machines bear the same name."""


def target_id(device: str, provider: str, threads: int, precision: str) -> str:
    """The id of a target; `provider` by its short name, or as the suite calls the entry."""
    return f"{device}-{provider}-{threads}t-{precision}"


def target_name(target: str) -> TargetName | None:
    """ "local-cpu-1t-fp32" in parts; None for a name of another form."""
    found = NAME.fullmatch(target)
    if found is None:
        return None
    return TargetName(
        found["device"], found["provider"], int(found["threads"]), found["precision"], found["machine"]
    )  # fmt: skip
