"""The id of a target in parts, and whether anybody deploys there. Knows no records."""

import re
from dataclasses import dataclass

from kdbench import registry
from kdbench.measure.providers import runtime_of

HERE = "local"
"""The device of targets that the run itself measured; those of a merged record bear its device's name."""
ANOTHER_MACHINE = "@"
"""Between a target and the fingerprint that sets its records apart from others of the same name."""
NAME = re.compile(
    r"(?P<device>[\w.+-]+)-(?P<provider>\w+)-(?P<threads>\d+)t-(?P<precision>[a-z]+\d*)"
    rf"(?:{ANOTHER_MACHINE}(?P<machine>\w+))?"
)
"""How `kdbench.suite.targets` names a target."""


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


def is_reference(provider: str, runtime: str | None = None) -> bool:
    """Whether nobody deploys to a target: its runtime is registered, and says so.

    `provider`: by its short name. `runtime`: the registered name of a runtime, where a session or a record says it.
    """
    name = runtime or runtime_of(provider)
    return name in registry.names("runtime") and not registry.resolve("runtime", name).deployable


def target_name(target: str) -> TargetName | None:
    """ "local-cpu-1t-fp32" in parts; None for a name of another form."""
    found = NAME.fullmatch(target)
    if found is None:
        return None
    return TargetName(
        found["device"], found["provider"], int(found["threads"]), found["precision"], found["machine"]
    )  # fmt: skip
