"""Upper limits on what a file may cost on a device, as a suite or a command line writes them. Knows no results."""

from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from kdbench import units
from kdbench.errors import Place
from kdbench.protocols.part import Part
from kdbench.suite.losses import PlacedLoss, Written

PARSERS: dict[str, Callable[[str], float]] = {
    "latency_p50": units.parse_duration,
    "bytes": units.parse_size,
    "memory": units.parse_size,
}
"""Every limit on a quantity that has the same unit everywhere, and the function that reads its text as a number."""


def _checked_by(parse: Callable[[str], float]) -> BeforeValidator:
    """A validator that keeps the text, and refuses what `parse` refuses: a number without its unit, say."""

    def checked(value: Any) -> Any:
        if isinstance(value, str | int | float):
            parse(str(value))
        return value

    return BeforeValidator(checked)


def _text(names: Collection[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": units.quantity_pattern(names)})


Duration = Annotated[str, _checked_by(units.parse_duration), _text(units.DURATIONS)]
ByteCount = Annotated[str, _checked_by(units.parse_size), _text(units.SIZES)]


class Limits(Part):
    """Upper limits on what a file may cost, each with its unit. What is left out is not limited."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
    __pydantic_extra__: dict[str, Written]
    by_metric: ClassVar[dict[str, str]] = {
        "METRIC_drop or METRIC_rise": "How far what the task is judged by may lie on the worse side of the baseline's, "
        "under the metric's name: `accuracy_drop: 1pt`, `macro_f1_drop: 0.8pt`, `rmse_rise: 0.4 MW`. Of values that "
        "are no fraction also a share of the baseline's value: `rmse_rise: 3%`."
    }
    """What stands beside the fields, for `kdbench describe`."""

    latency_p50: Duration | None = None
    """Highest median latency of one call: 2ms."""
    bytes: ByteCount | None = None
    """Largest ONNX file: 1MiB."""
    memory: ByteCount | None = None
    """Most resident memory that loading and running the file adds to a process that has the runtime already: 8MiB."""
    batch_size: Annotated[int, Field(gt=0)] | None = None
    """The batch size that latency and memory are judged at. Left out: every batch size that was measured."""

    @property
    def losses(self) -> dict[str, Written]:
        """The losses of metrics that are limited, by key (`kdbench.suite.losses.key_of`), as they were written."""
        return dict(self.__pydantic_extra__ or {})

    def bounds(self) -> dict[str, float]:
        """Name -> number in base units (ns, bytes), for every limit on time or bytes that is set."""
        return {name: parse(text) for name, parse in PARSERS.items() if (text := getattr(self, name)) is not None}

    def over(self, other: "Limits") -> "Limits":
        """These limits, and the other's for what these leave out."""
        return Limits.model_validate(_set(other) | _set(self))

    def written(self) -> dict[str, str]:
        """Name -> text as it was given, for every limit on a quantity that is set."""
        return {**{name: getattr(self, name) for name in self.bounds()}, **{k: str(v) for k, v in self.losses.items()}}


class SuiteLimits(Limits):
    """The limits that `kdbench choose` keeps to: for every target, and others for single targets."""

    targets: dict[str, Limits] = Field(default_factory=dict)
    """Target, by its id (local-cpu-1t-fp32) -> limits that hold there in place of those for every target."""

    def at(self, target: str) -> Limits:
        """The limits on one target: its own, and for what they leave out those of every target."""
        return self.targets.get(target, Limits()).over(self)

    def written_losses(self) -> Iterator[PlacedLoss]:
        """Every loss that is limited, with its place among the limits."""
        limited: dict[Place, Limits] = {(): self}
        limited |= {("targets", name): own for name, own in self.targets.items()}
        for before, limits in limited.items():
            for key, text in limits.losses.items():
                yield (*before, key), key, text

    def as_written(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_fields` makes the same limits."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _set(limits: Limits) -> dict[str, Any]:
    fields = {name: value for name in Limits.model_fields if (value := getattr(limits, name)) is not None}
    return fields | limits.losses
