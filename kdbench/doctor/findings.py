"""The doctor's findings as data: the machine, each interpreter, each target of a suite. Knows no text form."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trouble:
    """Something to be mended, in a sentence, and the commands that mend it, in their order."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counter:
    """An energy counter: `state` is "present" or "absent", with the reason."""

    name: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Machine:
    """This machine, and what else used it while the doctor looked."""

    cpu: str
    architecture: str
    system: str
    physical_core_count: int | None
    logical_core_count: int
    usable_core_count: int
    """Cores that this process may run on (affinity)."""
    quota_cores: float | None
    """Cores that a container may use (cgroup), where it is limited."""
    ram_bytes: int | None
    cpu_flags: tuple[str, ...]
    int8_flags: tuple[str, ...]
    """The `cpu_flags` that multiply 8-bit integers in one instruction."""
    governor: str | None
    gpus: tuple[str, ...]
    load_average: float | None
    other_cores: float | None
    """Cores that other work took while the doctor watched."""
    steal_fraction: float | None
    energy: tuple[Counter, ...]
    peak_memory: str | None
    """Why peak memory cannot be measured; None where it can."""
    resets_peak_memory: bool
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Torch:
    """torch in this interpreter; `devices` by kind."""

    version: str | None = None
    devices: dict[str, list[str]] = field(default_factory=dict)
    compiles: str | None = None
    """Why torch.compile cannot work here; None where nothing speaks against it."""
    reason: str | None = None
    """Why there is no torch."""


@dataclass(frozen=True)
class Trial:
    """A provider that was asked to run a tiny model."""

    provider: str
    works: bool
    kernels: dict[str, int] = field(default_factory=dict)
    """onnxruntime's name of a provider -> how many kernels it ran: the proof."""
    precision: str | None = None
    """Precision that it computed in, where that can be told."""
    reason: str | None = None
    remedy: Trouble | None = None


@dataclass(frozen=True)
class Plugin:
    """A provider that is a package of its own, and the devices it found here."""

    module: str
    provider: str | None = None
    devices: tuple[str, ...] = ()
    reason: str | None = None
    """Why nothing can be measured on it."""


@dataclass(frozen=True)
class Interpreter:
    """One Python, as a suite names it. Where `reason` is given it measures nothing at all."""

    path: str
    is_own: bool
    reason: str | None = None
    remedy: Trouble | None = None
    python_version: str | None = None
    numpy_version: str | None = None
    onnxruntime_version: str | None = None
    distributions: tuple[str, ...] = ()
    """Installed distributions that write the package onnxruntime, as "NAME VERSION"."""
    tells_assignment: bool = False
    """Whether its onnxruntime says which provider it gave a node, beside the profile that says which ran it."""
    trials: tuple[Trial, ...] = ()
    unnamed_providers: tuple[str, ...] = ()
    """Compiled in, and nothing that kdbench measures on."""
    plugins: tuple[Plugin, ...] = ()
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A target of the suite: whether it can be measured here, or why not."""

    target: str
    python: str | None
    can: bool
    kernels: dict[str, int] = field(default_factory=dict)
    precision: str | None = None
    reason: str | None = None
    remedy: Trouble | None = None
    lacks: tuple[str, ...] = ()
    """Sentences on what the suite asks of it beside times and will not get."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """All of it."""

    machine: Machine
    torch: Torch
    interpreters: tuple[Interpreter, ...]
    missing: tuple[Trouble, ...]
    """Things that could be measured or used here and are not installed."""
    suite: str | None = None
    asked: tuple[Asked, ...] = ()

    @property
    def can_all(self) -> bool:
        """Whether every interpreter measures, and every target of the suite gives all that the suite asks of it."""
        whole = all(asked.can and not asked.lacks for asked in self.asked)
        return whole and not any(found.reason for found in self.interpreters)

    def troubles(self) -> Iterator[Trouble]:
        """Troubles to mend first: two runtimes in one place, a machine that is busy."""
        yield from self.machine.troubles
        for interpreter in self.interpreters:
            yield from interpreter.troubles
