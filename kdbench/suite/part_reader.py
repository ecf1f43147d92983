"""Reads what stands at a place of a suite file as a checked part: a technique, model, task, or a set of fields."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kdbench import registry
from kdbench.errors import KdbenchError, Place, ending, users_line
from kdbench.protocols import Model, Task, Technique
from kdbench.protocols.declarations import declaration_faults
from kdbench.protocols.field_errors import sentences, shown
from kdbench.protocols.part import ADAPTERS, Part, PartSpec, PartType, spec_of
from kdbench.suite.faults import Faults, Faulty

BASES: dict[str, type[Part]] = {"technique": Technique, "model": Model, "task": Task}


@dataclass(frozen=True)
class Named:
    """A part as the file names it, its fields not yet checked."""

    name: str
    fields: dict[str, Any]
    place: Place

    @property
    def inside(self) -> Place:
        """The place of its fields."""
        return (*self.place, self.name)


class PartReader:
    """Reads the parts of one document. Methods note what is wrong and raise Faulty."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.folder = faults.document.path.parent

    def built(self, cls: type[PartType], fields: Any, place: Place, owner: str) -> PartType:
        """A part of the fields at `place`; `owner` is what messages call it."""
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if is_grid(value):
                text = "a grid belongs to a field of a case's step; it cannot stand here."
                raise self.faults.fail((*place, name), text)
        try:
            return cls.from_fields(fields)
        except ValidationError as error:
            self.faults.note_all(((*place, *where), text) for where, text in sentences(error, cls, owner, fields))
            raise Faulty from None
        except (Exception, SystemExit) as error:  # whatever a user's own validator does becomes a sentence
            where = users_line(error)
            if where is None:
                raise
            raise self.faults.fail(place, f"{where}: {ending(error)}") from None

    def named(self, kind: str, value: Any, place: Place) -> Named:
        """The name and the fields of a part of this kind."""
        if isinstance(value, str):
            return Named(value, {}, place)
        if isinstance(value, dict) and len(value) == 1:
            ((name, fields),) = value.items()
            if isinstance(fields, dict):
                return Named(name, fields, place)
        raise self.faults.fail(place, f"a {kind} is a name, or one {{name: {{fields}}}}; got {shown(value)}.")

    def part(self, kind: str, named: Named) -> tuple[PartSpec, Any]:
        """The part that `named` means, and how stage specs carry it."""
        cls = self._class(kind, named)
        part = self.built(cls, named.fields, named.inside, named.name)
        return spec_of(kind, named.name, part, self.folder), part

    def _class(self, kind: str, named: Named) -> type[Any]:
        try:
            cls = registry.resolve(kind, named.name, self.folder)
            cls = ADAPTERS[kind](cls) if kind in ADAPTERS else cls
        except KdbenchError as error:
            raise self.faults.fail(named.place, str(error)) from None
        if not isinstance(cls, type) or not issubclass(cls, BASES[kind]):
            text = f"{named.name} is no {kind}: it does not derive from kdbench's {BASES[kind].__name__}"
            text += ", nor from torch.nn.Module." if kind == "model" else "."
            raise self.faults.fail(named.place, text)
        if registry.is_file(named.name):
            wrong = [(named.place, text) for text in declaration_faults(cls)]
            if wrong:
                self.faults.note_all(wrong)
                raise Faulty
        return cls


def is_grid(value: Any) -> bool:
    """Whether a field's value is `{grid: ...}`."""
    return isinstance(value, dict) and "grid" in value
