"""Turns pydantic's errors about a part's fields into sentences. Knows nothing of suites."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kdbench.errors import Place, nearest
from kdbench.protocols.part import Part

EXPECTATIONS = {
    "greater_than": "> {gt:g}",
    "greater_than_equal": ">= {ge:g}",
    "less_than": "< {lt:g}",
    "less_than_equal": "<= {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "literal_error": "{expected}",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "none_required": "left empty",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
}
"""pydantic's error types -> what "must be ..." goes on with."""
COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
"""A number with a decimal comma."""


def sentences(error: ValidationError, cls: type[Part], owner: str, fields: Any) -> Iterator[tuple[Place, str]]:
    """(place within the fields, sentence) for everything that is wrong with them.

    owner: what a user calls the class. Where a field may be of several types, what each expected is one sentence.
    """
    wanted: dict[Place, list[str]] = {}
    for fault in _telling(error.errors(include_url=False)):
        place = _written(fault["loc"], fields)
        kind, context = fault["type"], fault.get("ctx", {})
        if kind == "extra_forbidden":
            *within, name = map(str, fault["loc"])
            known = _field_names(_models_at(cls, within))
            hint = nearest(name, known) if known else "It has no fields."
            yield fault["loc"], f"{'.'.join(within) or owner} has no field '{name}'. {hint}"
        elif kind == "missing":
            yield place, f"{owner} needs the field '{fault['loc'][-1]}'."
        elif kind == "value_error":
            text = str(context["error"])
            yield place, text if text.endswith((".", "?")) else f"{text}."
        else:
            wanted.setdefault(place, []).append(_expectation(fault["msg"], kind, context))
    for place, expectations in wanted.items():
        value = _at(fields, place)
        hint = f"; write {value.replace(',', '.')}" if isinstance(value, str) and COMMA.fullmatch(value) else ""
        yield place, f"must be {' or '.join(dict.fromkeys(expectations))}, got {shown(value)}{hint}."


def first_sentence(error: ValidationError, cls: type[Part], owner: str, fields: Any) -> str:
    """The first fault of a part that stands inside another's field, where its own place cannot be shown."""
    place, sentence = next(sentences(error, cls, owner, fields))
    return sentence if sentence.startswith(owner) else f"{'.'.join(map(str, (owner, *place)))}: {sentence}"


def _telling(faults: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Drops "too short" where an entry is wrong, too: pydantic counts only the entries that are right."""
    for fault in faults:
        depth = len(fault["loc"])
        inner = (other for other in faults if len(other["loc"]) > depth and other["loc"][:depth] == fault["loc"])
        if fault["type"] != "too_short" or not any(inner):
            yield fault


def _models_at(cls: type[BaseModel], within: Iterable[str]) -> set[type[BaseModel]]:
    """The models that a place in a class's fields may hold: keys of mappings and places in lists lead no deeper."""
    found = {cls}
    for key in within:
        annotations = [model.model_fields[key].annotation for model in found if key in model.model_fields]
        if annotations:
            found = {model for annotation in annotations for model in _models_in(annotation)}
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _field_names(models: Iterable[type[BaseModel]]) -> list[str]:
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _expectation(message: str, kind: str, context: Mapping[str, Any]) -> str:
    if kind in EXPECTATIONS:
        return EXPECTATIONS[kind].format(**context)
    return message.removeprefix("Input should be ").removeprefix("a valid ")


def _written(loc: Place, fields: Any) -> Place:
    """Pydantic's location of an error, cut where it stops being a path in the data: at a union's member, say."""
    for depth, key in enumerate(loc):
        try:
            fields = fields[key]
        except (KeyError, IndexError, TypeError):
            return loc[:depth]
    return loc


def _at(fields: Any, place: Place) -> Any:
    for key in place:
        fields = fields[key]
    return fields


def shown(value: Any) -> str:
    """A value as messages quote it: as YAML would have it, in 60 characters at most."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
