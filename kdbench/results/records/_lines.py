"""A record as one line of JSON and back, migrated to this schema.

Schema history
1  first.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from kdbench.errors import RecordError
from kdbench.results.records._kinds import TYPES, Record

SCHEMA = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From schema n to n + 1, one step each; history is never handled anywhere else."""


def to_line(record: Record) -> str:
    """A record as one line of JSON, without what is absent."""
    fields = {
        field.name: value for field in dataclasses.fields(record) if (value := getattr(record, field.name)) is not None
    }
    return json.dumps({"schema": SCHEMA, "kind": record.KIND, **fields}, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line, migrated to this schema.

    Raises RecordError when the line is no record, or from a newer kdbench.
    """
    try:
        data = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        raise RecordError(f"not a record: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise RecordError("not a record: a JSON object with 'schema' was expected.")
    return _from_data(_migrate(data))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed: what is missing is left out")


def _migrate(data: dict[str, Any]) -> dict[str, Any]:
    schema = data["schema"]
    if schema > SCHEMA:
        raise RecordError(
            f"these records have schema {schema}, this kdbench reads up to {SCHEMA}; use a newer kdbench."
        )
    for version in range(schema, SCHEMA):
        data = MIGRATIONS[version](data)
    return data


def _from_data(data: dict[str, Any]) -> Record:
    cls = TYPES.get(data.get("kind", ""))
    if cls is None:
        raise RecordError(f"there is no record kind {data.get('kind')!r}; known: {', '.join(TYPES)}.")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = data.keys() - known - {"schema", "kind"}
    if unknown:
        raise RecordError(f"a record of kind {cls.KIND} has no field {', '.join(sorted(unknown))}.")
    try:
        return cls(**{name: _frozen(data[name]) for name in known & data.keys()})
    except TypeError as error:
        raise RecordError(f"a record of kind {cls.KIND} is incomplete: {error}.") from None


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return value
