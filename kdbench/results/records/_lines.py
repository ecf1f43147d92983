"""A record as one line of JSON and back: typed as it is read, and migrated to this schema.

Schema history
1  first. Lines of early versions lack what was added since; such fields are None or empty (see `_kinds`).
2  lines of kind "accuracy" are of kind "score".
"""

import dataclasses
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kdbench.errors import NewerRecords, RecordError
from kdbench.results.records._kinds import TYPES
from kdbench.results.records._labels import Failed, Record

SCHEMA = 2
STATUSES = ("ok", "failed", "skipped")
NESTED = ("steps", "facts", "also", "recipe", "fields", "origin")
"""Fields of any content; lists in them are tuples in a record, so that reading gives what was written."""


def _scores(data: dict[str, Any]) -> dict[str, Any]:
    """A line of schema 1, whose only metric was accuracy."""
    return {**data, "kind": "score"} if data.get("kind") == "accuracy" else data


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _scores}
"""From schema n to n + 1, one step each; history is never handled anywhere else."""


def to_line(record: Record) -> str:
    """A record as one line of JSON, without what is absent."""
    fields = {
        field.name: value for field in dataclasses.fields(record) if (value := getattr(record, field.name)) is not None
    }
    said = {"status": "ok", "kind": record.KIND} | fields
    return json.dumps({"schema": SCHEMA, **said}, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line, migrated to this schema.

    Raises RecordError when the line is no record or not what its kind says, NewerRecords when it is of a newer kdbench.
    """
    try:
        data = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not a record: {error}") from None
    if not isinstance(data, dict) or type(data.get("schema")) is not int or data["schema"] < 1:
        raise RecordError("not a record: a JSON object with 'schema' was expected.")
    return from_data(_migrate(data))


def from_data(data: dict[str, Any]) -> Record:
    """The record of a line's fields, which name its kind. Raises RecordError where they are not what the kind says."""
    given = {name: value for name, value in data.items() if value is not None and name != "schema"}
    kind, status = given.pop("kind", ""), given.pop("status", "ok")
    cls = TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise RecordError(f"there is no record kind {kind!r}; known: {', '.join(TYPES)}.")
    if status not in STATUSES:
        raise RecordError(f"a record's status is one of {', '.join(STATUSES)}, got {status!r}.")
    if status == "ok":
        return _typed(cls, cls.KIND, _completed(cls.KIND, given))
    own = {field.name for field in dataclasses.fields(cls)} - {field.name for field in dataclasses.fields(Failed)}
    labels = {name: value for name, value in given.items() if name not in own}  # early versions wrote empty ones
    return _typed(Failed, f"{cls.KIND} ({status})", {**labels, "kind": cls.KIND, "status": status})


def _typed(cls: type[Record], words: str, given: dict[str, Any]) -> Record:
    frozen = {name: _frozen(given[name]) for name in NESTED if name in given}
    try:
        return _adapter(cls.KIND).validate_python(given | frozen)
    except ValidationError as error:
        raise RecordError(f"a record of kind {words} {_fault(error)}.") from None


@cache
def _adapter(kind: str) -> TypeAdapter[Record]:
    """Checks the types of a kind's fields. Failures are checked under the kind ""."""
    return TypeAdapter(TYPES.get(kind, Failed))


def _fault(error: ValidationError) -> str:
    """The first thing that is wrong, in words that go on after "a record"."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"lacks {place}"
    if first["type"] == "unexpected_keyword_argument":
        return f"has no field {place}"
    return f"says of {place} {repr(first['input'])[:60]}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _completed(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are today, where lines of early versions have others."""
    if kind == "environment":  # they bore an empty case, seed 0 and no chain
        return {name: value for name, value in given.items() if name not in ("case", "seed", "lineage", "steps")}
    return given


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed: what is missing is left out")


def _migrate(data: dict[str, Any]) -> dict[str, Any]:
    schema = data["schema"]
    if schema > SCHEMA:
        raise NewerRecords(
            f"these records have schema {schema}, this kdbench reads up to {SCHEMA}; use a newer kdbench."
        )
    for version in range(schema, SCHEMA):
        data = MIGRATIONS[version](data)
    return data


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError("not a record: a number in it is too large.")
    return value
