"""The wishes that a session is opened with: provider, threads, precision and the like. Opens none."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

from kdbench.errors import MeasureError, UnknownName, nearest
from kdbench.measure.execution_proof import Asked
from kdbench.measure.provider import FOLDER, THREADS, Precision, Provider
from kdbench.measure.providers import TABLE, refusals

GRAPH_OPTIMIZATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}

HARMLESS = frozenset(
    ("provider", "threads_intra", "threads_inter", "graph_optimization", "precision", "search", "graphs")
)
"""Fields of a session that choose among what kdbench's own table of providers has. All others name files or libraries
to load, or can: whoever did not write them must confirm them."""

UNKNOWN = Provider("", precisions={}, takes_subgraphs=True, is_asynchronous=True)
"""The assumptions about a provider that only a plug-in knows: the most cautious ones."""


@dataclass(frozen=True)
class SessionSpec:
    """How a file is to be run: everything that may change its speed or its arithmetic.

    Raises UnknownName, or MeasureError where the provider does not have what is asked of it.
    """

    provider: str = "cpu"
    """By short name; a plug-in's may bear any."""
    options: dict[str, str] = field(default_factory=dict)
    """The provider's own; they win over what all other fields imply."""
    threads_intra: int = 1
    threads_inter: int = 1
    graph_optimization: str = "all"
    precision: str = "fp32"
    plugin: str = ""
    """The module of a package that brings the provider; empty where onnxruntime itself has it."""
    search: str = ""
    """How algorithms of convolutions are searched; empty for the table's default."""
    engine_cache: str = ""
    """A folder where built engines are kept; empty for none."""
    graphs: bool = False
    """Whether calls replay a captured graph of kernels."""
    runtime: str = ""
    """"module:Class" of a third party's runtime; empty for the one of kdbench's own that has the provider."""

    def __post_init__(self) -> None:
        for name, sentence in refusals(vars(self), self._table):
            raise UnknownName(sentence) if name == "provider" else MeasureError(sentence)
        if self.graph_optimization not in GRAPH_OPTIMIZATIONS:
            known = nearest(self.graph_optimization, GRAPH_OPTIMIZATIONS)
            raise UnknownName(f"there is no graph_optimization '{self.graph_optimization}'. {known}")

    @property
    def provider_asked(self) -> str:
        """The runtime's own name of the provider."""
        return self._known.name or self.provider

    def provider_options(self) -> dict[str, str]:
        """The options that the provider gets: those that other fields imply, overridden by the caller's own."""
        known = self._known
        implied = {
            **known.always,
            **self._precision.options,
            **(known.search[self.search] if self.search else {}),
            **(known.engine_cache if self.engine_cache else {}),
            **(known.graphs if self.graphs else {}),
        }
        values = {FOLDER: self.engine_cache, THREADS: str(self.threads_intra)}
        return {**{name: values.get(value, value) for name, value in implied.items()}, **self.options}

    def asked(self, name: str) -> Asked:
        """The provider as a proof sees it; `name` is its own, which a plug-in tells only once it is loaded."""
        known = self._known
        is_overridden = bool({*self._precision.options, *known.overriding}.intersection(self.options))
        computes = None if is_overridden else self._precision.computes
        return Asked(name, computes, known.takes_subgraphs, known.is_asynchronous)

    @property
    def takes_fixed_shapes(self) -> bool:
        """Whether the provider needs a session for each shape of the inputs."""
        return self._known.takes_fixed_shapes

    @property
    def is_emulated(self) -> bool:
        """Whether the provider's library emulates its hardware on this machine."""
        return platform.machine() in self._known.emulated_on

    @property
    def runs_in_caller(self) -> bool:
        """Whether one thread is the calling one, whose processor time is then the call's."""
        return self._known.runs_in_caller

    def pin_environment(self) -> None:
        """Set the variables that decide the precision; they count only before the runtime loads its libraries."""
        for name, value in self._precision.environment.items():
            os.environ.pop(name, None)
            if value:
                os.environ[name] = value

    @property
    def _table(self) -> Mapping[str, Provider]:
        """The providers that may be asked for; a third party's runtime says which it has."""
        if not self.runtime:
            return TABLE
        from kdbench.measure.runtimes import runtime_class  # it needs this module

        return runtime_class(self.runtime).providers

    @property
    def _known(self) -> Provider:
        return self._table.get(self.provider, UNKNOWN)

    @property
    def _precision(self) -> Precision:
        return self._known.precisions.get(self.precision, Precision(computes=None))
