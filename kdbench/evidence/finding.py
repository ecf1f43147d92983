"""One doubt about a results folder, and the names that its sentences share. Knows no statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.results.folder import Results
from kdbench.results.records import TEACHER

AT_CHANCE = "at chance"
WEAK_TEACHER = "teacher worse than its student"
VALIDATION_ABOVE_TEST = "validation above test"
CLASS_MISSING = "class missing"
LOSS_DOES_NOT_FALL = "loss does not fall"
UNUSED_WEIGHTS = "weights not used"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    cases: tuple[str, ...]
    """The cases and teachers that it concerns; empty where it concerns the data."""
    target: str | None
    """Where; None where it does not depend on the target."""
    sentence: str
    """Names stand in backticks."""
    bars: bool
    """Whether `kdbench choose` never picks these cases on this target."""


def class_name(results: Results, label: int) -> str:
    """What the task calls a class; its number where the folder does not say."""
    names = results.class_names
    return names[label] if label < len(names) else f"class {label}"


def row_name(results: Results, name: str) -> str:
    """How a sentence begins with a row's name."""
    if name not in results.plan.teachers:
        return quoted(name)
    return "The teacher" if name == TEACHER else f"The teacher {quoted(name)}"


def seeds_named(seeds: Sequence[int]) -> str:
    """Seed 1, or seeds 1, 2."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def quoted(name: str) -> str:
    """A name in backticks, and with none inside."""
    return f"`{name.replace('`', chr(39))}`"
