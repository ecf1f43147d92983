"""Where files are measured: each combination of threads and precision of a measure entry is a target."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from kdbench.errors import Place, nearest
from kdbench.measure.carried import declared
from kdbench.measure.provider import ONNXRUNTIME
from kdbench.measure.runtimes.contract import Runtime
from kdbench.measure.target_id import HERE, target_id
from kdbench.protocols import Destination
from kdbench.suite.form import MeasureEntry
from kdbench.suite.limits import SuiteLimits


@dataclass(frozen=True)
class Target:
    """One provider, thread count and precision on a machine, with the measure entry that asks for it."""

    entry: MeasureEntry
    threads: int
    precision: str
    index: int
    """The entry's place in the suite's `measure`."""

    @property
    def id(self) -> str:
        """The name in records: device (or node), provider (or the entry's own name), threads and precision."""
        return target_id(self.entry.node or HERE, self.entry.name or self.entry.provider, self.threads, self.precision)

    @cached_property
    def runtime(self) -> type[Runtime]:
        """The runtime of its files: it says which form of file it reads, and whether anybody deploys to it."""
        return declared(self.entry.runtime, self.entry.provider)

    @property
    def from_onnx(self) -> bool:
        """Whether its runtime's files are ONNX, or made from it; else they begin with what torch.export writes."""
        return (self.runtime.made_from or self.runtime.artefact) == "onnx"

    @property
    def session(self) -> dict[str, Any]:
        """How the measuring program shall run a file here, without what the entry leaves out."""
        asked = {
            "runtime": self.entry.runtime,
            "plugin": self.entry.plugin,
            "search": self.entry.search,
            "engine_cache": self.entry.engine_cache,
            "graphs": self.entry.graphs,
            "options": {name: str(value) for name, value in self.entry.options.items()},
        }
        return {
            "provider": self.entry.provider,
            "threads_intra": self.threads,
            "threads_inter": 1,
            **({"graph_optimization": "all"} if self.runtime.name == ONNXRUNTIME else {}),
            "precision": self.precision,
            **{name: value for name, value in asked.items() if value},
        }

    def destination(self, machine: str) -> Destination:
        """Where a file will run, by which steps decide their fields that are `auto`."""
        return Destination(self.entry.provider, machine)


def targets_of(entries: tuple[MeasureEntry, ...]) -> list[Target]:
    """Every target of a suite's measure entries, in their order."""
    return [
        Target(entry, threads, precision, index)
        for index, entry in enumerate(entries)
        for threads, precision in product(entry.threads, entry.precisions)
    ]


Other = tuple[str | None, str, str | None]
"""Interpreter (None: this one), provider, and the name of a third party's runtime."""


def converter_of(entry: MeasureEntry) -> str | None:
    """The Python that makes the files of an entry whose runtime reads what kdbench does not write; None: this one."""
    return entry.converter or entry.python


def interpreters_of(entries: tuple[MeasureEntry, ...]) -> tuple[list[str | None], list[Other], list[Other]]:
    """The Pythons that measure with onnxruntime, what is measured with another runtime, and what makes files for it."""
    own: list[str | None] = []
    others: list[Other] = []
    converters: list[Other] = []
    for entry in entries:
        runtime = declared(entry.runtime, entry.provider)
        if runtime.name == ONNXRUNTIME:
            own.append(entry.python)
        else:
            others.append((entry.python, entry.provider, entry.runtime))
        if runtime.made_from:
            converters.append((converter_of(entry), entry.provider, entry.runtime))
    return own, others, converters


def limit_faults(limits: SuiteLimits, entries: tuple[MeasureEntry, ...]) -> Iterator[tuple[Place, str]]:
    """(place within the limits, sentence) for every limit on what the suite does not measure."""
    targets = {target.id: target.entry for target in targets_of(entries)}
    for name in limits.targets:
        if name not in targets:
            yield ("targets", name), f"there is no target '{name}'. {nearest(name, targets)}"
    for name, entry in targets.items():
        here, own = limits.at(name), limits.targets.get(name)
        if here.batch_size not in (None, *entry.batch_sizes):
            place: Place = ("targets", name, "batch_size") if own and own.batch_size else ("batch_size",)
            measured = ", ".join(map(str, entry.batch_sizes))
            yield place, f"batch size {here.batch_size} is not measured on {name}; it has {measured}."
        if here.memory and not entry.memory:
            place = ("targets", name, "memory") if own and own.memory else ("memory",)
            yield place, f"memory is not measured on {name}; leave 'memory: false' out of its measure entry."
