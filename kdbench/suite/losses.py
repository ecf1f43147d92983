"""How much of a metric may be lost, as a suite or a command line writes it: under the metric's own name, in its unit.

A metric of which more is better drops, one of which less is better rises: `accuracy_drop: 1pt`, `rmse_rise: 0.4 MW`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench import registry, units
from kdbench.errors import Place, nearest
from kdbench.protocols.metric import Metric
from kdbench.scale import WAYS, Scale

Written = str | int | float
"""A loss as it is written; one of a metric without a unit is a plain number."""
PlacedLoss = tuple[Place, str, Written]
"""The place of an allowed loss among its limits or tolerances, the loss as `key_of` calls it, and how much."""


@dataclass(frozen=True)
class Allowed:
    """How much may be lost."""

    amount: float
    """In the metric's own unit (a point is 0.01), or as a share of the reference's value."""
    is_share: bool = False

    def said(self, scale: Scale) -> str:
        """0.50 points, 3.0 %, 0.4 MW."""
        if self.is_share:
            return f"{units.percent(self.amount, 1)} %"
        return scale.amount(self.amount, 2 if scale.is_fraction else None)


def allowed(text: Written, scale: Scale) -> Allowed:
    """What a text means for a metric. Raises ValueError where it has not the metric's unit.

    A fraction is lost in points, and 1 % is a point. Of other values a per cent is a share of the reference's value.
    """
    if scale.is_fraction:
        return Allowed(units.parse_difference(str(text), f"a {scale.way} in {scale.name}"))
    number, unit = units.parse_quantity(str(text))
    if number is None or unit not in (scale.unit, "%"):
        own = f"a number of {scale.unit}, such as 0.4 {scale.unit}," if scale.unit else "a plain number"
        raise ValueError(f"a {scale.way} in {scale.name} is {own} or a share of it, such as 3%; got {str(text)!r}")
    return Allowed(number / 100, True) if unit == "%" else Allowed(number)


def fault_of(key: str, text: Written, name: str, scale: Scale) -> str | None:
    """Why an allowed loss is none of the metric that decides, in words; None where it is one.

    key: the loss as a suite calls it (`key_of`); name: of the metric that decides.
    """
    right = key_of(name, scale)
    if key != right:
        return f"the task is judged by {scale.name}, its first metric, whose loss is {right}"
    try:
        allowed(text, scale)
    except ValueError as error:
        return str(error)
    return None


def usual(metric: Metric) -> Allowed:
    """What may be lost where nobody says it."""
    return Allowed(metric.tolerance, metric.relative)


def key_of(name: str, scale: Scale) -> str:
    """What a suite calls the loss of a metric: accuracy_drop, rmse_rise."""
    return f"{name}_{scale.way}"


def scale_of(metric: Metric) -> Scale:
    """How a metric's values are written."""
    return Scale.of(metric.name, metric.unit, metric.unit_name, metric.direction)


@dataclass(frozen=True)
class LossReader:
    """Finds what is wrong with the losses in a suite's raw data, before anything else is read of it.

    The unit of values is known once the task's data is decoded, and is looked at then (`data_checks`).
    """

    own: Collection[str]
    """The names of the suite's own metrics."""
    folder: Path | None
    """Where their files lie."""

    def limits(self, data: Any, fields: Collection[str]) -> Iterator[tuple[Place, str]]:
        """(place within the limits, sentence); `fields`: those that are no losses."""
        yield from self._limits(data, fields, ())
        for target, limits in _mapping(_mapping(data).get("targets")).items():
            yield from self._limits(limits, [name for name in fields if name != "targets"], ("targets", target))

    def tolerances(self, data: Any, fields: Collection[str]) -> Iterator[tuple[Place, str]]:
        """(place within `check`, sentence)."""
        yield from self._tolerances(data, fields, ())
        for case, tolerances in _mapping(_mapping(data).get("cases")).items():
            yield from self._tolerances(tolerances, [name for name in fields if name != "cases"], ("cases", case))

    def _limits(self, data: Any, fields: Collection[str], place: Place) -> Iterator[tuple[Place, str]]:
        for key, text in _mapping(data).items():
            name, _, way = str(key).rpartition("_")
            if key in fields:
                continue
            if way not in WAYS.values() or name not in self._names:
                yield (*place, key), f"limits has no field '{key}'. {nearest(str(key), [*fields, *self._losses])}"
            elif (sentence := self._fault(name, way, text, f"{name}_")) is not None:
                yield (*place, key), sentence

    def _tolerances(self, data: Any, fields: Collection[str], place: Place) -> Iterator[tuple[Place, str]]:
        for name, tolerance in _mapping(data).items():
            if name in fields:
                continue
            if name not in self._names:
                yield (*place, name), f"check has no field '{name}'. {nearest(str(name), [*fields, *self._names])}"
                continue
            for way in WAYS.values():
                text = _mapping(tolerance).get(f"max_{way}")
                if text is not None and (sentence := self._fault(name, way, text, "max_")) is not None:
                    yield (*place, name, f"max_{way}"), sentence

    @cached_property
    def _names(self) -> list[str]:
        return [*registry.names("metric"), *self.own]

    @cached_property
    def _losses(self) -> list[str]:
        return [key_of(name, self._scale(name)) for name in self._names]

    def _scale(self, name: str) -> Scale:
        return scale_of(registry.resolve("metric", name, self.folder)())

    def _fault(self, name: str, way: str, text: Any, before: str) -> str | None:
        """Why this is no loss of a metric, as a sentence; `before`: what stands before the way in the file."""
        scale = self._scale(name)
        if way != scale.way:
            better = "higher" if scale.higher else "lower"
            return f"{scale.name} is better where it is {better}, and loses by a {scale.way}: {before}{scale.way}."
        if not scale.is_fraction and units.parse_quantity(str(text))[0] is not None:
            return None
        try:
            allowed(text, scale)
        except ValueError as error:
            return f"{error}."
        return None


def _mapping(data: Any) -> dict[Any, Any]:
    """The data, where it is a mapping; what else stands there is refused by whoever reads it next."""
    return data if isinstance(data, dict) else {}


def metric_lists(fields: Any) -> Iterator[list[str]]:
    """The names in every list that stands under `metrics` in a task's fields, at any depth; one that is not empty."""
    if isinstance(fields, dict):
        for key, value in fields.items():
            if key == "metrics" and isinstance(value, list | tuple):
                names = [name for name in value if isinstance(name, str)]
                yield from [names] if names else []
            else:
                yield from metric_lists(value)
    elif isinstance(fields, list | tuple):
        for item in fields:
            yield from metric_lists(item)
