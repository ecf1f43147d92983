"""What is known of the machine and interpreters that a plan will run on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.measure.providers import ONNXRUNTIME


@dataclass(frozen=True)
class Machine:
    """What the plan must know of where it will run; `kdbench.timing.probe` finds out."""

    device: str
    """What trainings run on: "cpu" or "cuda"."""
    architecture: str
    """platform.machine()."""
    runtimes: Mapping[str | None, Mapping[str, Any]]
    """Interpreter (None: this one) -> what it says of its onnxruntime (fingerprint, runtime_version ...)."""
    others: Mapping[tuple[str | None, str], Mapping[str, Any]] = field(default_factory=dict)
    """(Interpreter, runtime) -> what it says of another runtime."""

    def runtime(self, python: str | None, name: str = ONNXRUNTIME) -> Mapping[str, Any]:
        """What an interpreter says of a runtime that a target asks for."""
        return self.runtimes[python] if name == ONNXRUNTIME else self.others[python, name]
