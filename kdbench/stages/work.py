"""A stage at work: its spec, its inputs' folders, a folder to write in, a log."""

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.protocols import TaskDescription
from kdbench.protocols.recipe import Recipe
from kdbench.stages.lockstep import Turn
from kdbench.stages.names import DESCRIPTION, PROGRESS
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store

Fact = dict[str, Any]
"""A record without its labels: its kind and its own fields."""


@dataclass
class Work:
    """One stage at work. A stage writes files into `out` and returns its facts; nothing else leaves it."""

    spec: StageSpec
    store: Store
    out: Path
    log: logging.Logger
    turn: Turn = field(default_factory=Turn.alone)
    """Its side of going in step with other stages; alone by itself."""
    _reported: float = field(default=0.0, init=False)

    def input(self, role: str) -> Path:
        """The folder of an earlier stage."""
        return self.store.folder(self.spec.inputs[role])

    def part(self, role: str) -> Any:
        """A part of the spec, built."""
        return self.spec.parts[role].build()

    def recipe(self, role: str) -> Recipe:
        """The recipe in a role."""
        recipe: Recipe = Recipe.model_validate_json(json.dumps(self.spec.parts[f"recipe:{role}"].fields))
        return recipe

    def progress(self, fraction: float) -> None:
        """Say how far this stage is, 0 to 1; shown while it runs."""
        now = time.monotonic()
        if now - self._reported >= 0.5:
            self._reported = now
            (self.out / PROGRESS).write_text(f"{fraction:.3f}", encoding="utf-8")

    def remove(self, names: Iterable[str]) -> None:
        """Delete files of `out` that are not part of the result."""
        for name in names:
            (self.out / name).unlink(missing_ok=True)


def read_description(folder: Path) -> TaskDescription:
    """The description of the data that a decode stage wrote into its folder."""
    return TaskDescription.model_validate_json((folder / DESCRIPTION).read_text(encoding="utf-8"))
