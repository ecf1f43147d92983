"""A part is what a suite names: a technique, a model, a task, a recipe. Its fields are its whole state."""

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from kdbench import registry, user_files
from kdbench.user_files import UserCode, UserFile


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
        """What the stage key is made from, as JSON data: the fields, and the content of what they name.

        A string that names a file or folder (from the current folder, or beside the class's own file) stands for its
        last name and its content: a file by its bytes, a folder by the names, sizes and times of what lies below it.
        So a part whose data changed is computed again, and one whose data only moved is not.

        A part that reads what neither its fields nor the strings in its code name (a database, an address, a place
        that it computes) overrides this and adds whatever tells that the data changed: a date, a revision, a digest.
        Otherwise results of the older data are taken for those of the new. Raises DataError where data is missing.
        """
        beside = Path(getattr(sys.modules[type(self).__module__], "__file__", None) or ".").parent
        return {name: _with_content(value, beside) for name, value in self.to_fields().items()}


def _with_content(value: Any, beside: Path) -> Any:
    """A field's value, with each string that names a file or folder replaced by its last name and a digest."""
    if isinstance(value, dict):
        return {key: _with_content(item, beside) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_content(item, beside) for item in value]
    digest = user_files.digest_of_named(value, beside) if isinstance(value, str) else None
    return value if digest is None else {"name": Path(value).name, "content": digest}


PartType = TypeVar("PartType", bound=Part)

ADAPTERS: dict[str, Callable[[Any], type[Any]]] = {}
"""Kind -> what makes a class of that kind from a user's own class that does not derive from kdbench's."""


@dataclass(frozen=True)
class PartSpec:
    """A part as stage specs carry it: any interpreter can build it again."""

    kind: str
    name: str
    version: int
    fields: dict[str, Any]
    code: UserCode | None = None
    """The user's own files, for a `file.py:Class`: they travel with the spec."""
    keyed_by: dict[str, Any] | None = None
    """The part's `identity()` where that was asked for; without it the fields stand for themselves."""
    inputs: tuple[str, ...] = ()
    """The task's inputs that a network takes, where it does not take all."""
    outputs: tuple[str, ...] = ()
    """The task's outputs that a teacher's network tells, where it does not tell all."""

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "PartSpec":
        """From the JSON of `dataclasses.asdict`."""
        code = data["code"]
        some = {name: tuple(data.get(name, ())) for name in ("inputs", "outputs")}
        return cls(**{**data, **some, "code": None if code is None else UserCode.from_data(code)})

    def identity(self) -> dict[str, Any]:
        """What a key depends on: name, version, fields by content, and for a user's class its code."""
        name = Path(self.name).name if registry.is_file(self.name) else self.name
        fields = self.fields if self.keyed_by is None else self.keyed_by
        same: dict[str, Any] = {"name": name, "version": self.version, "fields": fields}
        same |= {key: value for key, value in (("inputs", self.inputs), ("outputs", self.outputs)) if value}
        return same if self.code is None else {**same, "code": self.code.identity()}

    def located(self, known: dict[tuple[UserFile, ...], UserCode] | None = None) -> "PartSpec":
        """A copy keyed by the current content of the files that it names. Raises DataError where they are not there.

        known: code that is located already, which many parts of a suite share.
        """
        code, known = self.code, {} if known is None else known
        if code is not None and code.files:
            code = known[code.files] if code.files in known else known.setdefault(code.files, code.located())
        return replace(self, code=code, keyed_by=self.build().identity())

    def build(self) -> Any:
        """The part itself."""
        if self.code is not None and self.code.files:
            found = self.code.find_class(self.name.rpartition(":")[2])
            cls = ADAPTERS[self.kind](found) if self.kind in ADAPTERS else found
        else:
            cls = registry.resolve(self.kind, self.name)
        return cls.from_fields(self.fields)


def spec_of(kind: str, name: str, part: Part, folder: Path | None = None) -> PartSpec:
    """How a part that a suite names `name` is carried; `folder` is the suite's, for a `file.py:Class`."""
    return PartSpec(kind, name, type(part).version, part.to_fields(), registry.user_code(name, type(part), folder))


def about(cls: type) -> str:
    """The first sentence of a class's docstring."""
    text = inspect.getdoc(cls) or ""
    return " ".join(text.split("\n\n")[0].split())
