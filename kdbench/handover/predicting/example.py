"""What readers give: examples as the model's data is stored, before preprocessing; and how they say what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Manifest = dict[str, Any]
FOLDER = Path(__file__).resolve().parent.parent
"""Where the model, its manifest and what belongs to it lie."""


class BadInput(Exception):
    """One sentence on what cannot be read, and what was expected."""


class Example(NamedTuple):
    """The inputs that are given, in the manifest's order, as stored; the true answer of each output, where known."""

    name: str
    inputs: tuple[Any, ...]
    targets: tuple[Any, ...] | None = None


Examples = Iterator[Example]


def leave_out(sentence: object) -> None:
    """Say of one example why it is left out; the others go on."""
    print(f"left out: {sentence}", file=sys.stderr)


def given_inputs(manifest: Manifest) -> list[dict[str, Any]]:
    """The inputs that are given; masks and lengths are made for each batch."""
    return [one for one in manifest["inputs"] if one.get("role", "values") in ("values", "segments")]


def answering_outputs(manifest: Manifest) -> list[dict[str, Any]]:
    """The outputs that the task speaks of."""
    return [one for one in manifest["outputs"] if "kind" in one]


def settings(manifest: Manifest, name: str) -> dict[str, Any]:
    """What the task says of turning raw data into inputs."""
    found: dict[str, Any] = manifest["data"].get("settings", {}).get(name, {})
    return found


def class_number(label: str, class_names: list[str], place: str) -> int:
    """The number of a class. Raises BadInput for another."""
    if label not in class_names:
        shown = ", ".join(class_names[:8]) + (", ..." if len(class_names) > 8 else "")
        raise BadInput(f"{place}: '{label}' is no class of this model; they are {shown}.")
    return class_names.index(label)
