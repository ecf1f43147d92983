"""How much worse than a reference a file may be before `check` objects, as a suite writes it. Knows no results."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from kdbench.errors import Place, nearest
from kdbench.protocols.metric import Metric
from kdbench.protocols.part import Part
from kdbench.suite.losses import Allowed, PlacedLoss, Written, allowed, fault_of, key_of, scale_of, usual


class LatencyTolerance(Part):
    """How much slower than the reference a file may be; both are timed side by side."""

    max_ratio: float = Field(1.03, gt=1)
    """Largest slow-down to tolerate, as new / reference. A case is called slower from two thirds of it (1.03: 2 %), so
    that a slow-down of the whole size is not missed."""


class MetricTolerance(Part):
    """How much of the task's metric may be lost, on the same examples of the test split.

    Left out: the metric's own, 0.5pt for accuracy and 3% for RMSE. More is a regression once it is no chance.
    """

    max_drop: Written | None = None
    """How far a metric of which more is better may lie below the reference's, in points (0.5pt); of
    values that are no fraction in their unit, or as a share of the reference's value (3%)."""
    max_rise: Written | None = None
    """How far a metric of which less is better may lie above (0.4 MW, 3%)."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.max_drop is not None and self.max_rise is not None:
            raise ValueError("a metric gets worse one way only; give max_drop or max_rise")
        return self

    def losses(self, metric: str) -> dict[str, Written]:
        """The loss that is allowed, if one is given, as `kdbench.suite.losses` calls it."""
        given = {f"{metric}_drop": self.max_drop, f"{metric}_rise": self.max_rise}
        return {key: text for key, text in given.items() if text is not None}


class SizeTolerance(Part):
    """How much larger an ONNX file may be."""

    max_ratio: float = Field(1.01, gt=0)
    """Largest growth to tolerate, as bytes of new / reference; sizes have no chance in them. 1 % is what `choose` calls
    the same size: names and metadata move a file by less, and nobody ships or holds back a model for it."""


class ByMetric(Part):
    """Fields, and beside them the tolerance of what the task is judged by, under the metric's own name."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
    __pydantic_extra__: dict[str, MetricTolerance]
    by_metric: ClassVar[dict[str, str]] = {
        "METRIC": "How much of what the task is judged by may be lost, under the metric's name: `accuracy: {max_drop: "
        "0.5pt}`, `macro_f1: {max_drop: 0.8pt}`, `rmse: {max_rise: 0.4 MW}`, or a share of the reference's value, "
        "`rmse: {max_rise: 3%}`. Left out: the metric's own, 0.5pt for accuracy and 3% for RMSE. More is a regression "
        "once it is no chance."
    }
    """What stands beside the fields, for `kdbench describe`."""

    @property
    def metrics(self) -> Mapping[str, MetricTolerance]:
        """Metric -> what of it may be lost."""
        return self.__pydantic_extra__ or {}


class Tolerances(ByMetric):
    """How much worse than its reference a case may be."""

    latency: LatencyTolerance = LatencyTolerance()
    """How much slower it may be."""
    size: SizeTolerance = SizeTolerance()
    """How much larger its file may be."""

    def loss(self, name: str, metric: Metric) -> Allowed:
        """How much of a metric may be lost. Raises ValueError where what is written is none of its losses."""
        scale = scale_of(metric)
        written = self.metrics[name].losses(name) if name in self.metrics else {}
        if not written:
            return usual(metric)
        ((key, text),) = written.items()
        if key != key_of(name, scale):
            raise ValueError(f"{scale.name} gets worse where it {scale.way}s; say max_{scale.way}")
        return allowed(text, scale)


class CaseTolerances(ByMetric):
    """Tolerances of one case. What is left out is as for every other case."""

    latency: LatencyTolerance | None = None
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
            size=own.size or grid.size or self.size,
            **{**self.metrics, **grid.metrics, **own.metrics},
        )

    def written_losses(self) -> Iterator[PlacedLoss]:
        """Every loss that is allowed, with its place among the tolerances."""
        held: dict[Place, ByMetric] = {(): self}
        held |= {("cases", case): own for case, own in self.cases.items()}
        for before, tolerances in held.items():
            for metric, tolerance in tolerances.metrics.items():
                for key, text in tolerance.losses(metric).items():
                    yield (*before, metric, f"max_{key.rpartition('_')[2]}"), key, text

    def check_losses(self, name: str, metric: Metric) -> None:
        """Raises ValueError where another metric than the one that decides has a tolerance, or its own is none."""
        for _, key, text in self.written_losses():
            if (fault := fault_of(key, text, name, scale_of(metric))) is not None:
                raise ValueError(fault)

    def unknown_cases(self, cases: Collection[str]) -> Iterator[tuple[str, str]]:
        """(name, sentence) for every name under `cases` that is none of a suite's `cases`."""
        known = dict.fromkeys([*cases, *(name.partition("/")[0] for name in cases)])
        for name in self.cases:
            if name not in known:
                yield name, f"there is no case '{name}'. {nearest(name, known)}"

    def as_written(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_fields` makes the same tolerances whatever the defaults are by then."""
        return self.model_dump(mode="json", exclude_none=True)
