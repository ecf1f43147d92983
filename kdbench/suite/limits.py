"""What a file may cost on a device, as a suite or a command line writes it. Knows no results and no suite."""

from collections.abc import Callable, Collection
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from kdbench import units
from kdbench.protocols.part import Part

PARSERS: dict[str, Callable[[str], float]] = {
    "accuracy_drop": units.parse_difference,
    "latency_p50": units.parse_duration,
    "bytes": units.parse_size,
    "memory": units.parse_size,
}
"""Every limit on a number, and what makes a number of its text."""


def _checked_by(parse: Callable[[str], float]) -> BeforeValidator:
    """Keeps the text; a bare number is refused for its missing unit, in the parser's words."""

    def checked(value: Any) -> Any:
        if isinstance(value, str | int | float):
            parse(str(value))
        return value

    return BeforeValidator(checked)


def _text(names: Collection[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": units.quantity_pattern(names)})


Drop = Annotated[str, _checked_by(units.parse_difference), _text(units.POINT_UNITS)]
Duration = Annotated[str, _checked_by(units.parse_duration), _text(units.DURATIONS)]
ByteCount = Annotated[str, _checked_by(units.parse_size), _text(units.SIZES)]


class Limits(Part):
    """Upper limits, each text with a unit; what is left out is not limited."""

    accuracy_drop: Drop | None = None
    """How far below the suite's baseline its accuracy may lie, in points: 1pt."""
    latency_p50: Duration | None = None
    """Median latency of one call at the batch size: 2ms."""
    bytes: ByteCount | None = None
    """Of the ONNX file: 1MiB."""
    memory: ByteCount | None = None
    """Resident memory that loading and running it adds to a process that has the runtime already: 8MiB."""
    batch_size: Annotated[int, Field(gt=0)] | None = None
    """The batch size it is chosen for; every one that was measured where it is left out."""

    def bounds(self) -> dict[str, float]:
        """The limits on numbers that are set: name -> number in base units (rate, ns, bytes)."""
        return {name: parse(text) for name, parse in PARSERS.items() if (text := getattr(self, name)) is not None}

    def over(self, other: "Limits") -> "Limits":
        """These limits, and the other's where these say nothing."""
        return Limits.model_validate(_set(other) | _set(self))

    def written(self) -> dict[str, str]:
        """The limits on numbers that are set, in the words they were given in."""
        return {name: getattr(self, name) for name in self.bounds()}


class SuiteLimits(Limits):
    """Limits for every target, and more or other ones for single targets."""

    targets: dict[str, Limits] = Field(default_factory=dict)
    """Target id -> what holds there instead."""

    def at(self, target: str) -> Limits:
        """What holds on one target."""
        return self.targets.get(target, Limits()).over(self)

    def as_written(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_fields` makes the same limits."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _set(limits: Limits) -> dict[str, Any]:
    return {name: value for name in Limits.model_fields if (value := getattr(limits, name)) is not None}
