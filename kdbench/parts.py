"""A part is what a suite names: a technique, a model, a task, a recipe. Its fields are its whole state."""

import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from kdbench import registry


class Part(BaseModel):
    """A frozen, validated set of fields. Imports without torch; heavy imports belong inside methods."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: ClassVar[int] = 1
    """Raised whenever the numbers that this part's code produces change."""
    paper: ClassVar[str] = ""
    """Where it comes from: authors, year, section; empty for what no paper describes."""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Part":
        """A part from plain data as YAML or JSON gives it (lists for tuples); types stay strict.

        Raises pydantic.ValidationError.
        """
        return cls.model_validate_json(json.dumps(fields))

    def to_fields(self) -> dict[str, Any]:
        """Every field as plain JSON data, defaults included."""
        return self.model_dump(mode="json")


PartType = TypeVar("PartType", bound=Part)


@dataclass(frozen=True)
class PartSpec:
    """A part as stage specs carry it: any interpreter can build it again.

    `source` is the text of the user's own file, for a `file.py:Class`; it travels with the spec.
    """

    kind: str
    name: str
    version: int
    fields: dict[str, Any]
    source: str = ""

    def identity(self) -> dict[str, Any]:
        """What a key depends on."""
        name = Path(self.name).name if self.source else self.name
        same = {"name": name, "version": self.version, "fields": self.fields}
        if self.source:
            same["source_sha256"] = hashlib.sha256(self.source.encode()).hexdigest()
        return same

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
