"""What a task says of a file's inputs and outputs, as far as a program that runs the file must know it; JSON data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENTRY = "@form"
"""The entry of an .npz of examples that holds the form, JSON as bytes."""


@dataclass(frozen=True)
class Varying:
    """An input whose axis varies from example to example: the .npz has its examples end to end, and their offsets."""

    axis: str
    place: int = 0
    """Where the axis stands, not counting the batch axis."""
    multiple: int = 1
    """A padded batch's size is a multiple of it."""
    padding: Any = 0.0
    """What stands behind an example's end, as the file takes it: a number, or nested lists of an example's other
    axes."""


@dataclass(frozen=True)
class Made:
    """An input that is made for each batch: a mask, 1 at real places, or lengths."""

    role: str
    axis: str
    dtype: str


@dataclass(frozen=True)
class OutputForm:
    """One output of the file."""

    name: str
    kind: str = "classes"
    blank: int = 0
    axis: str | None = None
    """The input axis that its axis 1 varies with; None where all examples have the same shape."""
    subsampling: int = 1
    """n places of that axis give ceil(n / subsampling) of the output."""


@dataclass(frozen=True)
class Form:
    """A file's inputs that vary or are made, by name, and its outputs in order."""

    stored: tuple[str, ...] = ()
    """The inputs that are given, in order; empty where nothing says which."""
    varying: Mapping[str, Varying] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)
    outputs: tuple[OutputForm, ...] = (OutputForm("logits"),)

    def array(self) -> Any:
        """As an entry of an .npz."""
        import numpy

        return numpy.frombuffer(json.dumps(dataclasses.asdict(self)).encode(), numpy.uint8)


def read_form(array: Any) -> Form:
    """The form in an entry of an .npz. Raises ValueError, TypeError or KeyError where it is none."""
    said = json.loads(bytes(array).decode())
    return Form(
        stored=tuple(said["stored"]),
        varying={name: Varying(**each) for name, each in said["varying"].items()},
        made={name: Made(**each) for name, each in said["made"].items()},
        outputs=tuple(OutputForm(**each) for each in said["outputs"]),
    )
