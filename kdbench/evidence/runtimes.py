"""Targets of one machine that differ in what runs their files. Knows no text."""

from dataclasses import dataclass, replace

from kdbench.evidence.views import Evidence, Setting
from kdbench.measure.target_id import target_name


@dataclass(frozen=True)
class Race:
    """Several runtimes or providers of one device, with one thread count; the first is what the others refer to."""

    settings: tuple[Setting, ...]
    """By target, then by batch size."""

    @property
    def targets(self) -> tuple[str, ...]:
        """In the suite's order."""
        return tuple(dict.fromkeys(target for target, _ in self.settings))

    def first(self, setting: Setting) -> Setting | None:
        """The first target's setting of the same batch size; None where it has none."""
        found = (self.targets[0], setting[1])
        return found if found in self.settings else None


def races(evidence: Evidence) -> tuple[Race, ...]:
    """Every device and thread count at which several runtimes, providers or precisions ran the same cases."""
    found: dict[object, list[Setting]] = {}
    for setting in evidence.settings:
        name = target_name(setting[0])
        if name is not None:
            found.setdefault(replace(name, provider="", precision=""), []).append(setting)
    made = (Race(tuple(settings)) for settings in found.values())
    return tuple(race for race in made if len(race.targets) > 1)
