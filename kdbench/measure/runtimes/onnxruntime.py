"""A file in a runtime: what is asked of it, sessions that never fall back, pre-bound calls; it knows no clock."""

from __future__ import annotations

import contextlib
import os
import warnings
from dataclasses import dataclass, field
from typing import Any

from kdbench.errors import MeasureError, UnknownName, nearest
from kdbench.measure.execution_proof import Asked, Assigned
from kdbench.measure.providers import FOLDER, PROVIDERS, TABLE, THREADS, Precision, Provider, refusals
from kdbench.measure.runtimes import onnxruntime_import, plugins, session_class
from kdbench.measure.runtimes.bound_calls import (
    UNCAPTURED,
    BoundSession,
    Feed,
    ReplayedSession,
    binding_of,
    run_options,
)
from kdbench.measure.runtimes.native_log import cause, overheard

GRAPH_OPTIMIZATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}

UNKNOWN = Provider("", precisions={}, takes_subgraphs=True, is_asynchronous=True)
"""What must be assumed of a provider that only a plug-in knows."""

NVIDIAS = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
"""Providers whose libraries may have come as Python packages."""

ONLY_ERRORS = 3
"""onnxruntime's log severity: a missing CUDA library still explains itself on stderr, warnings do not."""


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

    def __post_init__(self) -> None:
        for name, sentence in refusals(vars(self)):
            raise UnknownName(sentence) if name == "provider" else MeasureError(sentence)
        if self.graph_optimization not in GRAPH_OPTIMIZATIONS:
            known = nearest(self.graph_optimization, GRAPH_OPTIMIZATIONS)
            raise UnknownName(f"there is no graph_optimization '{self.graph_optimization}'. {known}")

    @property
    def provider_asked(self) -> str:
        """onnxruntime's name of the provider."""
        return PROVIDERS.get(self.provider, self.provider)

    def provider_options(self) -> dict[str, str]:
        """What the provider is told: what every field implies, then the caller's own options."""
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
        """What a proof must know of the provider, whose own name is given: a plug-in tells it when it is loaded."""
        known = self._known
        is_overridden = bool({*self._precision.options, *known.overriding}.intersection(self.options))
        computes = None if is_overridden else self._precision.computes
        return Asked(name, computes, known.takes_subgraphs, known.is_asynchronous)

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
    def _known(self) -> Provider:
        return TABLE.get(self.provider, UNKNOWN)

    @property
    def _precision(self) -> Precision:
        return self._known.precisions.get(self.precision, Precision(computes=None))


class OnnxruntimeSession:
    """One ONNX file in onnxruntime, on the provider that was asked for or not at all.

    Raises MeasureError where the file does not load, or where onnxruntime chose another provider.
    """

    def __init__(self, path: str, spec: SessionSpec, profile_prefix: str | None = None) -> None:
        self.path, self.spec = path, spec
        if spec.provider_asked in NVIDIAS:
            onnxruntime_import.preload_libraries()
        options = _session_options(spec, profile_prefix)
        self.provider_asked = spec.provider_asked
        providers: list[Any] = [(spec.provider_asked, spec.provider_options())]
        if spec.plugin:  # the devices in the options say it all; `providers` would outweigh them
            self.provider_asked, providers = _plugged_in(options, spec), []
        hearing: contextlib.AbstractContextManager[list[str]] = contextlib.nullcontext([])
        if spec.provider != "cpu":
            hearing = overheard()
        try:
            with hearing as said, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an unavailable provider is only warned of; it is refused below
                self._session = onnxruntime_import.onnxruntime().InferenceSession(
                    path, options, providers=providers or None, enable_fallback=0
                )
        except onnxruntime_import.runtime_errors() as error:
            raise MeasureError(f"onnxruntime cannot load {path}: {onnxruntime_import.first_line(error)}") from None
        self._session.disable_fallback()
        self.input_names: list[str] = [node.name for node in self._session.get_inputs()]
        self.providers_got: list[str] = self._session.get_providers()
        self._refuse_fallback(cause(said))

    @staticmethod
    def describe() -> dict[str, Any]:
        """Name, version, build and compiled-in providers (onnxruntime's names) of the one here."""
        onnxruntime = onnxruntime_import.onnxruntime()
        return {
            "runtime": "onnxruntime",
            "runtime_version": onnxruntime.__version__,
            "build_info": onnxruntime.get_build_info(),
            "providers_available": onnxruntime.get_available_providers(),
        }

    def _refuse_fallback(self, reason: str | None) -> None:
        """Neither the first of `get_providers` alone is proof, nor does every version know the nodes."""
        if self.providers_got[0] != self.provider_asked:
            why = f": {reason.rstrip('.')}" if reason else ""
            raise MeasureError(f"asked for {self.provider_asked}, onnxruntime chose {self.providers_got[0]}{why}.")
        assigned = self.assigned_operators() if self.spec.provider != "cpu" else None
        if assigned is not None and self.provider_asked not in assigned:
            others = ", ".join(assigned) or "nobody"
            raise MeasureError(f"asked for {self.provider_asked}, which took none of the file's nodes; {others} did.")

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        try:
            options = run_options(UNCAPTURED) if self.spec.graphs else None
            outputs: list[Any] = self._session.run(None, self.own(feed), options)
        except onnxruntime_import.runtime_errors() as error:
            raise MeasureError(
                f"{self.path} does not run on these inputs: {onnxruntime_import.first_line(error)}"
            ) from None
        return outputs

    def run_checked(self, feed: Feed) -> list[Any]:
        """As `run`, but raises MeasureError also where an output is NaN or infinite."""
        import numpy

        outputs = self.run(feed)
        if not all(numpy.isfinite(output).all() for output in outputs if output.dtype.kind == "f"):
            raise MeasureError(f"{self.path} gives outputs that are not finite.")
        return outputs

    def own(self, feed: Feed) -> Feed:
        """This file's inputs of a feed, in its order. Raises MeasureError where the feed lacks one."""
        missing = [name for name in self.input_names if name not in feed]
        if missing:
            raise MeasureError(
                f"{self.path} wants an input '{missing[0]}', the inputs given are named {', '.join(feed)}."
            )
        return {name: feed[name] for name in self.input_names}

    def bind(self, feeds: list[Feed]) -> BoundSession | ReplayedSession:
        """Calls with inputs and outputs placed once, one binding per feed; or one that a captured graph reads."""
        outputs = self.run_checked(feeds[0])
        if self.spec.graphs:
            return ReplayedSession(self._session, [self.own(feed) for feed in feeds], outputs)
        bindings = [binding_of(self._session, self.own(feed), outputs) for feed in feeds]
        return BoundSession(self._session, bindings, feeds, wait=self.spec.provider != "cpu")

    def assigned_operators(self) -> Assigned | None:
        """Provider -> operators of its nodes, as the graph was partitioned (before fusion); None where untold."""
        ask = getattr(self._session, "get_provider_graph_assignment_info", None)
        if ask is None:
            return None
        operators: Assigned = {}
        for part in ask():
            operators.setdefault(part.ep_name, []).extend(node.op_type for node in part.get_nodes())
        return operators

    def assigned_node_count_by_provider(self) -> dict[str, int] | None:
        """Nodes of the graph as it was partitioned (before fusion), or None where the runtime cannot tell."""
        operators = self.assigned_operators()
        return None if operators is None else {name: len(nodes) for name, nodes in operators.items()}

    @property
    def asked(self) -> Asked:
        """What a proof must know of the provider."""
        return self.spec.asked(self.provider_asked)

    def end_profiling(self) -> str:
        """Path of the profile; ends it."""
        path: str = self._session.end_profiling()
        return path


def describe_runtime(provider: str = "cpu") -> dict[str, Any]:
    """What the runtime here that has a provider says of itself. Raises MeasureError where it is not installed."""
    described: dict[str, Any] = session_class(provider).describe()
    return described


def _plugged_in(options: Any, spec: SessionSpec) -> str:
    """Put a plug-in's devices into session options; the name of its provider, which is the one asked for."""
    name = plugins.add_to(options, spec.plugin, spec.provider_options(), onnxruntime_import.onnxruntime())
    if spec.provider in TABLE and name != spec.provider_asked:
        raise MeasureError(
            f"the plug-in {spec.plugin} brings {name}, not {spec.provider_asked}; give it a 'provider' name of "
            "its own, with precisions: [default]."
        )
    return name


def _session_options(spec: SessionSpec, profile_prefix: str | None) -> Any:
    onnxruntime = onnxruntime_import.onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads_intra
    options.inter_op_num_threads = spec.threads_inter
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, GRAPH_OPTIMIZATIONS[spec.graph_optimization]
    )
    options.use_deterministic_compute = True
    options.log_severity_level = ONLY_ERRORS
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    if profile_prefix is not None or spec.provider != "cpu":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
