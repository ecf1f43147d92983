"""Architectures that a technique's fields name: checked when a suite is read, without torch; nothing is built here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from kdbench import registry
from kdbench.errors import UnknownName
from kdbench.protocols.field_errors import first_sentence
from kdbench.protocols.part import PartSpec, spec_of

Named = str | dict[str, dict[str, Any]]


def _checked(named: Named) -> Named:
    """Give the name back. Raises ValueError where it names no network, or its fields are wrong."""
    if isinstance(named, dict) and len(named) != 1:
        raise ValueError("a model is a name, or one {name: {fields}}")
    name, fields = _parted(named)
    if registry.is_file(name):
        raise ValueError(f"'{name}' is a model of a file, and only registered ones can stand here; register it")
    try:
        cls = registry.resolve("model", name)
        model = cls.from_fields(fields)
    except UnknownName as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        raise ValueError(first_sentence(error, cls, name, fields)) from None
    if model.form != "torch":
        raise ValueError(f"{name} is no network, which it must be to learn and teach by its softened outputs")
    return named


def _parted(named: Named) -> tuple[str, dict[str, Any]]:
    return (named, {}) if isinstance(named, str) else next(iter(named.items()))


Architecture = Annotated[Named, AfterValidator(_checked)]
"""A registered model as a suite writes it: its name, or one {name: {fields}}."""


def identity(named: Named) -> dict[str, Any]:
    """The identity of an architecture in keys: its version, every field, and a weights file by its content.

    Raises KdbenchError where that file is not there.
    """
    name, fields = _parted(named)
    spec: PartSpec = spec_of("model", name, registry.resolve("model", name).from_fields(fields))
    return spec.located().identity()
