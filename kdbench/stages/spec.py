"""A stage spec is JSON: what a stage computes, and the key that is the digest of exactly that."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from kdbench.protocols.part import PartSpec


def digest(data: Any) -> str:
    """32 hex digits of the SHA-256 of canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class StageSpec:
    """One stage: pure in what is named here.

    kind: of `stages.TABLE`; version: of that kind's code;
    parts: by role (task, model, technique, recipe:train ...); inputs: role -> key of an earlier stage;
    settings: further plain fields; numerics: what else changes the numbers (versions, device, threads).
    """

    kind: str
    version: int
    parts: dict[str, PartSpec] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    numerics: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The digest of everything above; equal work has an equal key, whoever asks for it."""
        return digest(
            {
                "kind": self.kind,
                "version": self.version,
                "parts": {role: part.identity() for role, part in self.parts.items()},
                "inputs": self.inputs,
                "seed": self.seed,
                "settings": self.settings,
                "numerics": self.numerics,
            }
        )

    def repeated(self, number: int) -> "StageSpec":
        """The spec of the same measurement for another time; number 0 is the first."""
        return replace(self, settings={**self.settings, "repeat": number})

    def to_json(self) -> str:
        """Everything a worker needs, as text."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "StageSpec":
        """The spec that `to_json` wrote."""
        data = json.loads(text)
        data["parts"] = {role: PartSpec.from_data(part) for role, part in data["parts"].items()}
        return cls(**data)
