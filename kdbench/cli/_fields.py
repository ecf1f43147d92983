"""The fields of a part or of a suite's entry in words, made from the types that check them."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from kdbench.protocols.part import Part
from kdbench.suite.form import LINK

WIDTH = 96
"""Columns of text in a terminal."""
WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
"""JSON Schema's types."""
SIGNS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
ENTRIES = {
    "model": "a model",
    "task": "a task",
    "step": "a step",
    "student": "a student",
    "teacher": "a teacher",
    "teachers": "teachers",
    "recipe": "a recipe",
    "regularizer": "a regularizer",
    "case": "a case",
    "export": "export fields",
    "measure": "a measure entry",
    "limits": "limits",
    "check": "tolerances",
}
"""Definition of the suite's schema -> what it is called in a sentence."""


@dataclass(frozen=True)
class FieldText:
    """One field, in words."""

    name: str
    kind: str
    """The values that it takes, with bounds."""
    default: str
    about: str


def field_texts(cls: type[Part]) -> Iterator[FieldText]:
    """Every field of a class, in its order."""
    schema = cls.model_json_schema()
    for name, field in cls.model_fields.items():
        kind = value_text(schema["properties"][name], schema.get("$defs", {}))
        yield FieldText(name, kind, _default(field), " ".join((field.description or "").split()))
    for name, text in getattr(cls, "by_metric", {}).items():
        yield FieldText(name, "mapping of max_drop or max_rise" if name == "METRIC" else "text", "not set", text)


def fields_text(cls: type[Part], *names: str) -> str:
    """Every field of a class, or those of these names, with its values and default, what it means below."""
    lines = []
    for field in (field for field in field_texts(cls) if not names or field.name in names):
        default = field.default if field.default == "required" else f"default {field.default}"
        lines.append(f"  {field.name}: {field.kind}, {default}")
        lines += textwrap.wrap(field.about, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def fields_table(cls: type[Part]) -> str:
    """Every field of a class as a Markdown table."""
    rows = [(f"`{field.name}`", field.kind, field.default, field.about) for field in field_texts(cls)]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    head = ["| Field | Value | Default | Meaning |", "|:---|:---|:---|:---|"]
    return "\n".join([*head, *(f"| {row} |" for row in cells)])


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Part):
        return "those of its fields"
    if value is None or value is PydanticUndefined or (value in ({}, "") and not isinstance(value, bool)):
        return "not set"
    plain = TypeAdapter(Any).dump_python(value, mode="json")
    return {True: "true", False: "false"}[plain] if isinstance(plain, bool) else str(plain).replace("'", "")


def value_text(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema in words: type, legal values, bounds."""
    if LINK in schema:
        return ENTRIES[schema[LINK].rpartition("/")[2]]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"mapping of {', '.join(definitions[name].get('properties', {}))}"
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(value_text(option, definitions) for option in options))
    word = WORDS.get(schema.get("type", ""), "value")
    if "items" in schema:
        word = f"list of {_plural(value_text(schema['items'], definitions))}"
    elif "prefixItems" in schema:
        word = f"list of {len(schema['prefixItems'])}: " + ", ".join(
            value_text(item, definitions) for item in schema["prefixItems"]
        )
    elif schema.get("type") == "object":
        values = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        named = next((value for value in values if isinstance(value, dict)), None)
        word = f"mapping of names to {_plural(value_text(named, definitions))}" if named else word
    bounds = [f"{sign} {schema[key]:.10g}" for key, sign in SIGNS.items() if key in schema]
    return ", ".join([word, *bounds])


def _plural(text: str) -> str:
    word, comma, rest = text.partition(", ")
    if word.startswith("a "):
        word = word.removeprefix("a ")
        word = word.removesuffix("y") + "ies" if word.endswith("entry") else f"{word}s"
    elif word in ("whole number", "number"):
        word += "s"
    elif word == "text":
        word = "texts"
    return word + comma + rest
