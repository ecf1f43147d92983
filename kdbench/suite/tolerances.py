"""How much worse than a reference a file may be before `check` objects, as a suite writes it. Knows no results."""

from collections.abc import Collection, Iterator
from typing import Any

from pydantic import Field

from kdbench import units
from kdbench.errors import nearest
from kdbench.protocols.part import Part
from kdbench.suite.limits import Drop


class LatencyTolerance(Part):
    """How much slower than the reference a file may be; both are timed side by side."""

    max_ratio: float = Field(1.03, gt=1)
    """Largest slow-down to tolerate, as new / reference. A case is called slower from two thirds of it (1.03: 2 %), so
    that a slow-down of the whole size is not missed."""


class AccuracyTolerance(Part):
    """How much less accurate a file may be, on the same examples of the test split."""

    max_drop: Drop | None = None
    """How far its accuracy, or what the task's metric is, may lie on the worse side of the reference's: in points; of a
    metric that is no fraction, as a share of the reference's value (3%). Left out: the metric's own, 0.5pt for accuracy
    and 3% for RMSE. A larger drop is a regression once it is more than chance."""


class SizeTolerance(Part):
    """How much larger an ONNX file may be."""

    max_ratio: float = Field(1.01, gt=0)
    """Largest growth to tolerate, as bytes of new / reference; sizes have no chance in them. 1 % is what `choose` calls
    the same size: names and metadata move a file by less, and nobody ships or holds back a model for it."""


class Tolerances(Part):
    """How much worse than its reference a case may be."""

    latency: LatencyTolerance = LatencyTolerance()
    """How much slower it may be."""
    accuracy: AccuracyTolerance = AccuracyTolerance()
    """How much less accurate it may be."""
    size: SizeTolerance = SizeTolerance()
    """How much larger its file may be."""

    @property
    def max_drop(self) -> float | None:
        """The accuracy that may be lost, as a rate: 0.005 for 0.5pt; None where the metric says it."""
        return None if self.accuracy.max_drop is None else units.parse_difference(self.accuracy.max_drop)


class CaseTolerances(Part):
    """Tolerances of one case. What is left out is as for every other case."""

    latency: LatencyTolerance | None = None
    accuracy: AccuracyTolerance | None = None
    size: SizeTolerance | None = None


class SuiteTolerances(Tolerances):
    """How much worse results may be before `kdbench check` objects: for every case, and otherwise for single cases."""

    cases: dict[str, CaseTolerances] = Field(default_factory=dict)
    """Case (or a grid's name, for all its cases) -> tolerances that hold there in place of those for every case."""

    def at(self, case: str) -> Tolerances:
        """The tolerances of one case: for each metric its own, else its grid's, else every case's."""
        grid = self.cases.get(case.partition("/")[0], CaseTolerances())
        own = self.cases.get(case, CaseTolerances())
        return Tolerances(
            latency=own.latency or grid.latency or self.latency,
            accuracy=own.accuracy or grid.accuracy or self.accuracy,
            size=own.size or grid.size or self.size,
        )

    def unknown_cases(self, cases: Collection[str]) -> Iterator[tuple[str, str]]:
        """(name, sentence) for every name under `cases` that is none of a suite's `cases`."""
        known = dict.fromkeys([*cases, *(name.partition("/")[0] for name in cases)])
        for name in self.cases:
            if name not in known:
                yield name, f"there is no case '{name}'. {nearest(name, known)}"

    def as_written(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_fields` makes the same tolerances whatever the defaults are by then."""
        return self.model_dump(mode="json", exclude_none=True)
