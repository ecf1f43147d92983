"""The JSON Schema of suite files, from which editors complete and check, with every registered part in it."""

import json
from typing import Any

from kdbench import registry, units
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.suite.form import (
    LINK,
    NAME,
    CaseFields,
    ExportFields,
    MeasureEntry,
    StudentFields,
    SuiteFields,
    TeacherFields,
)
from kdbench.suite.limits import Limits, SuiteLimits
from kdbench.suite.losses import scale_of
from kdbench.suite.tolerances import SuiteTolerances

OWN = r"\.py:\w+$"
"""How the name of a class in a user's own file ends."""
POINTS: dict[str, Any] = {"type": "string", "pattern": units.quantity_pattern(units.POINT_UNITS)}
"""A loss of a fraction."""
VALUE: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}
"""A loss of other values: their unit is the task's."""
ONE_TEACHER: dict[str, Any] = {"anyOf": [{LINK: "#/$defs/teacher"}, {"type": "string", "pattern": NAME}]}


def schema() -> dict[str, Any]:
    """The JSON Schema of a whole suite file, with the fields of every registered technique, model and task."""
    tolerances = _with_metrics(SuiteTolerances.model_json_schema())
    definitions: dict[str, Any] = {
        "recipe": Recipe.model_json_schema(),
        "teacher": TeacherFields.model_json_schema(),
        "teachers": {"anyOf": [ONE_TEACHER, {"type": "array", "items": ONE_TEACHER, "minItems": 1}]},
        "regularizer": Regularizer.model_json_schema(),
        "student": StudentFields.model_json_schema(),
        "export": ExportFields.model_json_schema(),
        "measure": MeasureEntry.model_json_schema(),
        "limits": _with_metrics(SuiteLimits.model_json_schema()),
        "Limits": _with_metrics(Limits.model_json_schema()),
        "check": tolerances,
        **tolerances.pop("$defs"),
        "case": {"anyOf": [{"type": "array", "items": {LINK: "#/$defs/step"}}, CaseFields.model_json_schema()]},
        "model": _any_part("model"),
        "task": _any_part("task"),
        "step": _any_part("technique"),
    }
    definitions |= _lifted(definitions)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A kdbench suite"}
    unlinked = {**SuiteFields.model_json_schema(), **head, "$defs": definitions}
    linked: dict[str, Any] = json.loads(json.dumps(unlinked).replace(f'"{LINK}"', '"$ref"'))
    return linked


def _with_metrics(form: dict[str, Any]) -> dict[str, Any]:
    """A form in which losses of registered and own metrics may stand beside its fields, at every depth."""
    ways: dict[tuple[str, bool], list[str]] = {}
    for name in registry.names("metric"):
        scale = scale_of(registry.resolve("metric", name)())
        ways.setdefault((scale.way, scale.is_fraction), []).append(name)
    limits: dict[str, Any] = {rf"{OWN[:-1]}_(drop|rise)$": VALUE}
    tolerances: dict[str, Any] = {OWN: {"type": "object"}}
    for (way, is_fraction), names in ways.items():
        loss = POINTS if is_fraction else VALUE
        limits[f"^({'|'.join(names)})_{way}$"] = loss
        tolerances[f"^({'|'.join(names)})$"] = {"properties": {f"max_{way}": loss}, "additionalProperties": False}
    for one in (form, *form.get("$defs", {}).values()):
        if one.get("title", "").endswith(("Limits", "Tolerances")):
            one["patternProperties"] = limits if one["title"].endswith("Limits") else tolerances
    return form


def _lifted(node: Any) -> dict[str, Any]:
    """The definitions that stand inside others, taken out of them: every reference is from the whole schema's root."""
    found: dict[str, Any] = {}
    if isinstance(node, dict):
        if isinstance(node.get("$defs"), dict):
            found |= node.pop("$defs")
        for child in [*node.values(), *found.values()]:
            found |= _lifted(child)
    elif isinstance(node, list):
        for child in node:
            found |= _lifted(child)
    return found


def _any_part(kind: str) -> dict[str, Any]:
    """A registered name, one {name: {fields}}, or the user's own `file.py:Class` in the same two forms."""
    parts = {name: _part(kind, registry.resolve(kind, name)) for name in registry.names(kind)}
    bare = [name for name, part in parts.items() if not part.get("required")]
    fields = {
        "type": "object",
        "properties": parts,
        "patternProperties": {OWN: {"type": "object"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": bare}, {"type": "string", "pattern": OWN}, fields]}


def _part(kind: str, cls: type[Any]) -> dict[str, Any]:
    part: dict[str, Any] = cls.model_json_schema()
    if kind == "technique":
        part["properties"] = {name: _or_grid(field) for name, field in part.get("properties", {}).items()}
        if cls.form == "torch" and cls.roles:
            part["properties"].setdefault("recipe", _or_grid({"type": "string"}))
    return part


def _or_grid(field: dict[str, Any]) -> dict[str, Any]:
    grid = {"grid": {"type": "array", "items": field, "minItems": 1}}
    return {
        "anyOf": [field, {"type": "object", "properties": grid, "required": ["grid"], "additionalProperties": False}]
    }
