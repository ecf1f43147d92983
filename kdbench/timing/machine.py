"""What is known of the machine and interpreters that a plan will run on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Machine:
    """What the plan must know of where it will run; `kdbench.timing.probe` finds out."""

    device: str
    """Of trainings: "cpu" or "cuda"."""
    architecture: str
    """platform.machine()."""
    runtimes: Mapping[str | None, Mapping[str, Any]]
    """Interpreter (None: this one) -> what its measuring program says of itself (fingerprint, runtime_version ...)."""
    references: Mapping[str | None, Mapping[str, Any]] = field(default_factory=dict)
    """The same of torch, for interpreters that reference targets name."""

    def runtime(self, python: str | None, is_reference: bool = False) -> Mapping[str, Any]:
        """What an interpreter says of its runtime: of torch for targets that are references, else of onnxruntime."""
        return (self.references if is_reference else self.runtimes)[python]
