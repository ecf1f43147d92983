"""How much worse a file may be than a reference before `check` objects, as a suite writes it. Knows no results."""

from collections.abc import Collection, Iterator
from typing import Any

from pydantic import Field

from kdbench import units
from kdbench.errors import nearest
from kdbench.protocols.part import Part
from kdbench.suite.limits import Drop


class LatencyTolerance(Part):
    """Of new / reference, timed side by side."""

    max_ratio: float = Field(1.03, gt=1)
    """The slow-down that must not go unseen: the line is drawn at two thirds of it, where it stands out from none."""


class AccuracyTolerance(Part):
    """Of the test split, the same examples for both."""

    max_drop: Drop = "0.5pt"
    """How far it may lie below the reference's, in points; more counts once it is no chance."""


class SizeTolerance(Part):
    """Of the ONNX files' bytes."""

    max_ratio: float = Field(1.0, gt=0)
    """Of new / reference; exact."""


class Tolerances(Part):
    """What one case is held to."""

    latency: LatencyTolerance = LatencyTolerance()
    accuracy: AccuracyTolerance = AccuracyTolerance()
    size: SizeTolerance = SizeTolerance()

    @property
    def max_drop(self) -> float:
        """As a rate."""
        return units.parse_difference(self.accuracy.max_drop)


class CaseTolerances(Part):
    """What holds for one case instead; what is left out is as for every other."""

    latency: LatencyTolerance | None = None
    accuracy: AccuracyTolerance | None = None
    size: SizeTolerance | None = None


class SuiteTolerances(Tolerances):
    """Tolerances for every case, and other ones for single cases."""

    cases: dict[str, CaseTolerances] = Field(default_factory=dict)
    """Case, or the name of a grid for all its cases -> what holds there instead."""

    def at(self, case: str) -> Tolerances:
        """What holds for one case: its own, its grid's, everybody's, metric by metric."""
        grid = self.cases.get(case.partition("/")[0], CaseTolerances())
        own = self.cases.get(case, CaseTolerances())
        return Tolerances(
            latency=own.latency or grid.latency or self.latency,
            accuracy=own.accuracy or grid.accuracy or self.accuracy,
            size=own.size or grid.size or self.size,
        )

    def unknown_cases(self, cases: Collection[str]) -> Iterator[tuple[str, str]]:
        """(name, sentence) for every case of `cases` that a suite with those cases does not have."""
        known = dict.fromkeys([*cases, *(name.partition("/")[0] for name in cases)])
        for name in self.cases:
            if name not in known:
                yield name, f"there is no case '{name}'. {nearest(name, known)}"

    def as_written(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_fields` makes the same tolerances whatever the defaults are by then."""
        return self.model_dump(mode="json", exclude_none=True)
