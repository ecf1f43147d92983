"""What `list` and `describe` print: the registry as text. Imports what it names and nothing else; never torch."""

import inspect
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench import registry
from kdbench.errors import UnknownName, nearest
from kdbench.measure.providers import FIELDS, ONNXRUNTIME, TABLE, precisions_of, runtime_of
from kdbench.protocols import Model, Technique
from kdbench.protocols.part import Part, about
from kdbench.protocols.recipe import Recipe

WIDTH = 96


def list_text(kind: str) -> str:
    """One line a name; `kind` is plural."""
    if kind == "providers":
        return _columns([(name, _offers(name)) for name in TABLE])
    single = kind.removesuffix("s")
    return _columns([(name, about(registry.resolve(single, name))) for name in sorted(registry.names(single))])


def _offers(provider: str) -> str:
    """The runtime's name of a provider, its precisions, and those of a measure entry's fields that not all have."""
    if runtime_of(provider) != ONNXRUNTIME:
        how = "compiled" if TABLE[provider].engine_cache else "eager"
        return f"PyTorch, {how}, on the CPU: for reference, no deployment target ({', '.join(precisions_of(provider))})"
    has = [name for name in FIELDS if getattr(TABLE[provider], name)]
    return f"{TABLE[provider].name} ({', '.join(precisions_of(provider))}{'; ' if has else ''}{', '.join(has)})"


def describe_text(name: str, models: Mapping[str, Model] | None = None) -> str:
    """Docstring, paper, what it needs and gives, the layers it taps, and every field. Raises UnknownName.

    models: those whose layers are shown; every registered one that can be made without fields where left out.
    """
    kind, cls = _find(name)
    lines = [f"{name}  ({kind}, version {cls.version})", "", *_explained(cls)]
    if cls.paper:
        lines += ["", f"Paper: {cls.paper}"]
    if issubclass(cls, Technique):
        lines += ["", *_capabilities(cls), *_tapped(cls, _registered() if models is None else models)]
    lines += ["", "Fields:", *(_fields(cls) or ["  none"])]
    return "\n".join(lines)


def models_of(suite: Path) -> dict[str, Model]:
    """The teachers and students of a suite file, by what they are and whose. Raises SuiteError."""
    from kdbench.suite.reader import load

    found: dict[str, Model] = {}
    for case in load(suite).cases.values():
        for choice in case.teachers:
            if choice.model is not None:
                found.setdefault(f"teacher {choice.model.name}", choice.model.build())
        found.setdefault(f"student {case.student.model.name}", case.student.model.build())
    return found


def _find(name: str) -> tuple[str, type[Part]]:
    if name == "recipe":
        return "recipe", Recipe
    for kind in registry.KINDS:
        if registry.is_file(name) or name in registry.names(kind):
            cls = registry.resolve(kind, name)
            return (_kind_of(cls), cls) if registry.is_file(name) else (kind, cls)
    known = ["recipe", *(known for kind in registry.KINDS for known in registry.names(kind))]
    raise UnknownName(f"there is no technique, model, task or metric '{name}'. {nearest(name, known)}")


def _kind_of(cls: type[Part]) -> str:
    bases = {base.__name__ for base in cls.__mro__}
    return next((kind for kind in registry.KINDS if kind.capitalize() in bases), "part")


def _capabilities(cls: type[Technique]) -> list[str]:
    starts = {
        "fresh": "a student with new weights",
        "trained": "a student trained on labels",
        "pretrained": "a student from its weights file",
    }
    lines = [f"Works on: {'an ONNX file' if cls.form == 'onnx' else 'a torch model'}"]
    if cls.form == "torch":
        lines.append(f"First in a chain it takes: {starts[cls.start]}")
    if cls.needs:
        lines.append(f"Needs: {', '.join(sorted(cls.needs)).replace('_', ' ')}")
    if cls.form == "torch" and cls.roles:
        lines.append(f"Trains under recipe: {', '.join(sorted(cls.roles))}")
    return lines


def _explained(cls: type[Part]) -> list[str]:
    """Its docstring; a model's architecture often is that of its family, whose docstring follows."""
    family = [base for base in cls.__mro__[1:] if issubclass(base, Model) and base is not Model]
    return [inspect.getdoc(cls) or "", *(line for base in family for line in ("", inspect.getdoc(base) or ""))]


def _tapped(cls: type[Technique], models: Mapping[str, Model]) -> list[str]:
    """The layers that a technique taps by default in each model; nothing where it taps none in any."""
    found = [(f"  {name}", ", ".join(cls.default_layers(model.layers()))) for name, model in models.items()]
    if not any(layers for _, layers in found):
        return []
    named = [(name, layers or "none by default: name them") for name, layers in found]
    return ["", "Layers it taps by default (`kdbench describe MODEL` has them all):", _columns(named)]


def _registered() -> dict[str, Model]:
    """Every registered network that needs no field."""
    found = {name: registry.resolve("model", name) for name in registry.names("model")}
    bare = {name: cls for name, cls in found.items() if not any(f.is_required() for f in cls.model_fields.values())}
    return {name: cls() for name, cls in bare.items() if cls.form == "torch"}


def _fields(cls: type[Part]) -> list[str]:
    properties = cls.model_json_schema().get("properties", {})
    lines = []
    for name, field in cls.model_fields.items():
        said = _bounds(properties.get(name, {}))
        default = "required" if field.is_required() else f"default {_plain(field.default)}"
        lines.append(f"  {name}: {', '.join([*said, default])}")
        if field.description:
            text = " ".join(field.description.split())
            lines += textwrap.wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return lines


def _plain(value: Any) -> str:
    return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)


def _bounds(schema: dict[str, Any]) -> list[str]:
    """Type, legal values and limits of a field, in words."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    schema = {**schema, **options[0]} if options else schema
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "array": "list",
    }
    said = [" | ".join(map(str, schema["enum"]))] if "enum" in schema else [words.get(schema.get("type", ""), "value")]
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    return said + [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        f"{name:<{width}}  {textwrap.shorten(text, WIDTH - width, placeholder=' ...')}" for name, text in rows
    )
