"""From a document's data to checked parts; whatever is wrong is said with its place. Knows no suite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kdbench import registry
from kdbench.errors import KdbenchError, Place, SuiteError
from kdbench.protocols import Model, Task, Technique
from kdbench.protocols.field_errors import sentences, shown
from kdbench.protocols.part import Part, PartSpec, PartType, spec_of
from kdbench.suite.yaml_lines import Document

BASES: dict[str, type[Part]] = {"technique": Technique, "model": Model, "task": Task}


@dataclass(frozen=True)
class Named:
    """A part as the file names it, its fields not yet checked."""

    name: str
    fields: dict[str, Any]
    place: Place

    @property
    def inside(self) -> Place:
        return (*self.place, self.name)


class Reading:
    """A document on its way to parts. Methods raise SuiteError; `kept` gathers what several of them raise."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.fail = document.fail
        self.faults: dict[str, None] = {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        try:
            yield
        except SuiteError as error:
            self.faults |= dict.fromkeys(str(error).split("\n"))

    def report(self) -> None:
        if self.faults:
            raise SuiteError("\n".join(self.faults))

    def built(self, cls: type[PartType], fields: Any, place: Place, owner: str) -> PartType:
        """A part of the fields at `place`; `owner` is what messages call it."""
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if is_grid(value):
                raise self.fail((*place, name), "a grid belongs to a field of a case's step; it cannot stand here.")
        try:
            return cls.from_fields(fields)
        except ValidationError as error:
            found = [self.fail((*place, *where), text) for where, text in sentences(error, cls, owner, fields)]
            raise SuiteError("\n".join(map(str, found))) from None

    def named(self, kind: str, value: Any, place: Place) -> Named:
        if isinstance(value, str):
            return Named(value, {}, place)
        if isinstance(value, dict) and len(value) == 1:
            ((name, fields),) = value.items()
            if isinstance(fields, dict):
                return Named(name, fields, place)
        raise self.fail(place, f"a {kind} is a name, or one {{name: {{fields}}}}; got {shown(value)}.")

    def part(self, kind: str, named: Named) -> tuple[PartSpec, Any]:
        cls = self.cls(kind, named)
        part = self.built(cls, named.fields, named.inside, named.name)
        return spec_of(kind, named.name, part, self.document.path.parent), part

    def cls(self, kind: str, named: Named) -> type[Any]:
        try:
            cls = registry.resolve(kind, named.name, self.document.path.parent)
        except KdbenchError as error:
            raise self.fail(named.place, str(error)) from None
        if not issubclass(cls, BASES[kind]):
            base = BASES[kind].__name__
            raise self.fail(named.place, f"{named.name} is no {kind}: it does not derive from kdbench's {base}.")
        return cls


def is_grid(value: Any) -> bool:
    return isinstance(value, dict) and "grid" in value
