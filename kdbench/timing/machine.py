"""The machine and the interpreters that a plan will run on, as far as the plan must know them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.measure.provider import ONNXRUNTIME


@dataclass(frozen=True)
class Machine:
    """The place where a plan will run; `kdbench.timing.probe` finds it out."""

    device: str
    """Device of trainings: "cpu" or "cuda"."""
    architecture: str
    """platform.machine()."""
    runtimes: Mapping[str | None, Mapping[str, Any]]
    """Interpreter (None: this one) -> what it says of its onnxruntime (fingerprint, runtime_version ...)."""
    others: Mapping[tuple[str | None, str], Mapping[str, Any]] = field(default_factory=dict)
    """(Interpreter, runtime) -> what it says of another runtime."""

    converters: Mapping[tuple[str | None, str], Mapping[str, str]] = field(default_factory=dict)
    """(Interpreter, runtime) -> package -> version of what makes the runtime's files there."""

    nodes: Mapping[str, "Machine"] = field(default_factory=dict)
    """Name -> a further machine, a node of a cluster, as the targets that name it must know it."""

    def at(self, node: str | None) -> "Machine":
        """The machine that a target names; None is this one."""
        return self if node is None else self.nodes[node]

    def runtime(self, python: str | None, name: str = ONNXRUNTIME) -> Mapping[str, Any]:
        """An interpreter's description of a runtime that a target asks for."""
        return self.runtimes[python] if name == ONNXRUNTIME else self.others[python, name]
