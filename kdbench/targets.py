"""Where files are measured: each combination of threads and precision of a measure entry is a target."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from kdbench.protocols import Destination
from kdbench.schema import MeasureEntry


@dataclass(frozen=True)
class Target:
    """One provider, thread count and precision on this machine, and how long to measure there."""

    entry: MeasureEntry
    threads: int
    precision: str
    index: int
    """Of the entry in the suite's `measure`."""

    @property
    def id(self) -> str:
        """What records carry: device, provider, threads and precision."""
        return f"local-{self.entry.provider}-{self.threads}t-{self.precision}"

    @property
    def session(self) -> dict[str, Any]:
        """How the measuring program runs a file here."""
        return {
            "provider": self.entry.provider,
            "threads_intra": self.threads,
            "threads_inter": 1,
            "graph_optimization": "all",
            "precision": self.precision,
        }

    def destination(self, machine: str) -> Destination:
        """What steps whose fields are `auto` go by."""
        return Destination(self.entry.provider, machine)


def targets_of(entries: tuple[MeasureEntry, ...]) -> list[Target]:
    """Every target of a suite, in its order."""
    return [
        Target(entry, threads, precision, index)
        for index, entry in enumerate(entries)
        for threads, precision in product(entry.threads, entry.precisions)
    ]
