"""onnxruntime: sessions that never fall back to another provider, and the proof of what ran; it knows no clock."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.execution_proof import (
    Asked,
    Assigned,
    Kernel,
    effective_precision,
    kernels_of_calls,
    least_disturbed,
    refusal,
    summary,
)
from kdbench.measure.onnxruntime_providers import ROWS
from kdbench.measure.provider import ONNXRUNTIME, Provider
from kdbench.measure.runtimes import onnxruntime_import, plugins, tensorrt
from kdbench.measure.runtimes.bound_calls import UNCAPTURED, BoundSession, ReplayedSession, binding_of, run_options
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.fixed_shapes import FixedShapesSession, free_axes, sizes_of
from kdbench.measure.runtimes.native_log import cause, overheard
from kdbench.measure.session_spec import GRAPH_OPTIMIZATIONS, SessionSpec

NVIDIAS = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
"""Providers whose libraries may have come as Python packages."""

PROOF_CALL_COUNT = 4
"""Calls of one shape: the first may still build or tune kernels, and the least disturbed of the others is the proof."""

ONLY_ERRORS = 3
"""onnxruntime's log severity: a missing CUDA library still explains itself on stderr, warnings do not."""


class OnnxruntimeSession(Session):
    """One ONNX file in onnxruntime, on the provider that was asked for or not at all.

    Raises MeasureError where the file does not load, or where onnxruntime chose another provider.
    """

    def __init__(
        self, path: str, spec: SessionSpec, profile_prefix: str | None = None, sizes: Mapping[str, int] | None = None
    ) -> None:
        """`sizes`: free axis -> the size that it is fixed at."""
        self.path, self.spec = path, spec
        if spec.provider_asked in NVIDIAS:
            onnxruntime_import.preload_libraries()
        options = _session_options(spec, profile_prefix)
        for axis, size in (sizes or {}).items():
            options.add_free_dimension_override_by_name(axis, size)
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
        refused = tensorrt.refusal(tensorrt.loaded_version(), spec.provider_options()) if self._is_tensorrt else None
        if refused is not None:
            raise MeasureError(refused)
        self.input_names: list[str] = [node.name for node in self._session.get_inputs()]
        self.providers_got: list[str] = self._session.get_providers()
        self._refuse_fallback(cause(said))

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

    def proof(self, feed: Feed) -> dict[str, Any]:
        """Proof of one call as far as it goes without a profile, which `Onnxruntime.prove` reads."""
        self.run_checked(feed)
        return {"node_count_by_provider": self.assigned_node_count_by_provider() or {}}

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
        """The provider as a proof sees it: where TensorRT goes by the file's types, nobody sees what they were."""
        asked = self.spec.asked(self.provider_asked)
        typed = self._is_tensorrt and tensorrt.is_typed(tensorrt.loaded_version())
        return replace(asked, computes=None) if typed else asked

    @property
    def execution_note(self) -> str | None:
        """What else decided how the file is computed; None where there is nothing to tell."""
        return tensorrt.note(tensorrt.loaded_version()) if self._is_tensorrt else None

    @property
    def _is_tensorrt(self) -> bool:
        return self.provider_asked == tensorrt.NAME

    def end_profiling(self) -> str:
        """Path of the profile; ends it."""
        path: str = self._session.end_profiling()
        return path


class Onnxruntime(Runtime):
    """onnxruntime: reads ONNX, and has a provider for most of what it runs on."""

    name = ONNXRUNTIME
    providers: ClassVar[Mapping[str, Provider]] = ROWS

    def describe(self) -> dict[str, Any]:
        """Name, version, build and compiled-in providers (onnxruntime's names) of the one here."""
        onnxruntime = onnxruntime_import.onnxruntime()
        return {
            "runtime": self.name,
            "runtime_version": onnxruntime.__version__,
            "build_info": onnxruntime.get_build_info(),
            "providers_available": onnxruntime.get_available_providers(),
        }

    def load(self, path: str, spec: SessionSpec) -> Session:
        if spec.takes_fixed_shapes:
            return FixedShapesSession(path, spec.provider_asked, lambda at: OnnxruntimeSession(path, spec, sizes=at))
        return OnnxruntimeSession(path, spec)

    def prove(self, path: str, spec: SessionSpec, feeds: Mapping[int, Feed]) -> dict[str, Any]:
        """By the profile of a session beside the timed ones: the kernels that ran, where, and for how long.

        Raises MeasureError where the provider that was asked for did not do the work, or where it only emulates the
        hardware that does: then files are judged, and none is timed.
        """
        if spec.is_emulated:
            raise MeasureError(
                f"provider {spec.provider} emulates its hardware on this machine: answers are judged, but times would "
                "say nothing about a device; carry the file to one, `kdbench bundle`."
            )
        if not spec.takes_fixed_shapes:
            return _proved(path, spec, feeds, {})
        axes = free_axes(path)
        alone = [_proved(path, spec, {size: feed}, sizes_of(axes, feed)) for size, feed in feeds.items()]
        return {**alone[0], "by_batch": {size: proof for one in alone for size, proof in one["by_batch"].items()}}


def _proved(path: str, spec: SessionSpec, feeds: Mapping[int, Feed], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The proof of one session, whose free axes are fixed at `sizes`, at each batch size."""
    with tempfile.TemporaryDirectory() as folder:
        session = OnnxruntimeSession(path, spec, str(Path(folder) / "profile"), sizes)
        for feed in feeds.values():
            for _ in range(PROOF_CALL_COUNT):
                session.run_checked(feed)
        calls = kernels_of_calls(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
    by_batch = {}
    for number, size in enumerate(feeds):
        later = calls[number * PROOF_CALL_COUNT + 1 : (number + 1) * PROOF_CALL_COUNT]
        by_batch[str(size)] = _proof(session, least_disturbed(later), size)
    return {
        "provider_asked": session.provider_asked,
        "provider_options": spec.provider_options(),
        "providers_got": session.providers_got,
        "assigned_node_count_by_provider": session.assigned_node_count_by_provider(),
        "by_batch": by_batch,
    }


def _proof(session: OnnxruntimeSession, kernels: list[Kernel], batch_size: int) -> dict[str, Any]:
    """One call's proof. Raises MeasureError where the asked provider did not do the work."""
    assigned = session.assigned_operators()
    reason = refusal(session.asked, kernels, assigned)
    if reason is not None:
        raise MeasureError(f"{reason} (batch size {batch_size}).")
    return {
        **summary(kernels),
        "assigned_node_count_by_provider": session.assigned_node_count_by_provider(),
        "effective_precision": effective_precision(session.asked, kernels, assigned),
        "execution_note": session.execution_note,
    }


def _plugged_in(options: Any, spec: SessionSpec) -> str:
    """Put a plug-in's devices into session options; the name of its provider, which is the one asked for."""
    name = plugins.add_to(options, spec.plugin, spec.provider_options(), onnxruntime_import.onnxruntime())
    if spec.provider in ROWS and name != spec.provider_asked:
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
