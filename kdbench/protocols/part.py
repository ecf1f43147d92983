"""A part is what a suite names: a technique, a model, a task, a recipe. Its fields are its whole state."""

import hashlib
import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from kdbench import registry


class Part(BaseModel):
    """A frozen, validated set of fields. Imports without torch; heavy imports belong inside methods."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    version: ClassVar[int] = 1
    """Raised whenever the numbers that this part's code produces change."""
    paper: ClassVar[str] = ""
    """Where it comes from: authors, year, section; empty for what no paper describes."""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """A part from plain data as YAML or JSON gives it (lists for tuples); types stay strict.

        Raises pydantic.ValidationError.
        """
        return cls.model_validate_json(json.dumps(fields))

    def to_fields(self) -> dict[str, Any]:
        """Every field as plain JSON data, defaults included."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """What stands for the fields in keys: something else where a field is a place whose content counts.

        Raises DataError where that content is not there.
        """
        return self.to_fields()


PartType = TypeVar("PartType", bound=Part)


@dataclass(frozen=True)
class PartSpec:
    """A part as stage specs carry it: any interpreter can build it again.

    `source` is the text of the user's own file, for a `file.py:Class`; it travels with the spec.
    `keyed_by` is the part's `identity()` where that was asked for; without it the fields stand for themselves.
    """

    kind: str
    name: str
    version: int
    fields: dict[str, Any]
    source: str = ""
    keyed_by: dict[str, Any] | None = None

    def identity(self) -> dict[str, Any]:
        """What a key depends on."""
        name = Path(self.name).name if self.source else self.name
        fields = self.fields if self.keyed_by is None else self.keyed_by
        same = {"name": name, "version": self.version, "fields": fields}
        if self.source:
            same["source_sha256"] = hashlib.sha256(self.source.encode()).hexdigest()
        return same

    def located(self) -> "PartSpec":
        """Itself, keyed by what the part's places hold now. Raises DataError where they are not there."""
        return replace(self, keyed_by=self.build().identity())

    def build(self) -> Any:
        """The part itself."""
        if self.source:
            cls = registry.from_source(self.name, self.source, self.name.rpartition(":")[2])
        else:
            cls = registry.resolve(self.kind, self.name)
        return cls.from_fields(self.fields)


def spec_of(kind: str, name: str, part: Part, folder: Path | None = None) -> PartSpec:
    """How a part that a suite names `name` is carried; `folder` is where a `file.py` was found."""
    source = registry.read_source(name.rpartition(":")[0], folder) if registry.is_file(name) else ""
    return PartSpec(kind, name, type(part).version, part.to_fields(), source)


def about(cls: type) -> str:
    """The first sentence of a class's docstring."""
    text = inspect.getdoc(cls) or ""
    return " ".join(text.split("\n\n")[0].split())
