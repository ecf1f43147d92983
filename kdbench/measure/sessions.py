"""A file in a runtime: providers by short name, sessions that never fall back, pre-bound calls; it knows no clock."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass, field
from typing import Any

from kdbench.errors import MeasureError, UnknownName, nearest

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
"""Short name -> onnxruntime's name. The only such table."""

PRECISIONS: dict[str, dict[str, dict[str, str]]] = {
    "cuda": {"fp32": {"use_tf32": "0"}, "tf32": {"use_tf32": "1"}},
    "tensorrt": {"fp32": {}, "fp16": {"trt_fp16_enable": "1"}},  # TF32 there obeys NVIDIA_TF32_OVERRIDE (host.py)
    "openvino": {"fp32": {"precision": "FP32"}, "fp16": {"precision": "FP16"}},
}
"""Provider -> precision -> the options that pin it; any other provider computes a file as it is written, "fp32"."""

GRAPH_OPTIMIZATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}

ONLY_ERRORS = 3
"""onnxruntime's log severity: a missing CUDA library still explains itself on stderr, warnings do not."""

Feed = dict[str, Any]
"""Input name -> array of one batch, shape (batch, ...)."""


@dataclass(frozen=True)
class SessionSpec:
    """How a file is to be run: everything that may change its speed or its arithmetic."""

    provider: str = "cpu"
    options: dict[str, str] = field(default_factory=dict)
    """The provider's own; they win over what `precision` implies."""
    threads_intra: int = 1
    threads_inter: int = 1
    graph_optimization: str = "all"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        _known("provider", self.provider, PROVIDERS)
        _known("graph_optimization", self.graph_optimization, GRAPH_OPTIMIZATIONS)
        if self.precision not in self._precisions():
            raise MeasureError(
                f"provider {self.provider} offers precision {', '.join(self._precisions())}, got '{self.precision}'."
            )

    @property
    def provider_asked(self) -> str:
        """onnxruntime's name of the provider."""
        return PROVIDERS[self.provider]

    def provider_options(self) -> dict[str, str]:
        """What onnxruntime is told: the precision pinned, then the caller's own options."""
        return {**self._precisions()[self.precision], **self.options}

    def _precisions(self) -> dict[str, dict[str, str]]:
        return PRECISIONS.get(self.provider, {"fp32": {}})


def _known(what: str, name: str, table: dict[str, str]) -> None:
    if name not in table:
        raise UnknownName(f"there is no {what} '{name}'. {nearest(name, table)}")


class OnnxruntimeSession:
    """One ONNX file in onnxruntime, on the provider that was asked for or not at all.

    Raises MeasureError where the file does not load, or where onnxruntime chose another provider.
    """

    def __init__(self, path: str, spec: SessionSpec, profile_prefix: str | None = None) -> None:
        self.path, self.spec = path, spec
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an unavailable provider is only warned of; it is refused below
                self._session = _onnxruntime().InferenceSession(
                    path,
                    _session_options(spec, profile_prefix),
                    providers=[(spec.provider_asked, spec.provider_options())],
                    enable_fallback=0,
                )
        except _runtime_errors() as error:
            raise MeasureError(f"onnxruntime cannot load {path}: {_first_line(error)}") from None
        self._session.disable_fallback()
        self.input_names: list[str] = [node.name for node in self._session.get_inputs()]
        self.providers_got: list[str] = self._session.get_providers()
        if self.providers_got[0] != spec.provider_asked:
            raise MeasureError(f"asked for {spec.provider_asked}, onnxruntime chose {self.providers_got[0]}.")

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        try:
            outputs: list[Any] = self._session.run(None, self.own(feed))
        except _runtime_errors() as error:
            raise MeasureError(f"{self.path} does not run on these inputs: {_first_line(error)}") from None
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

    def bind(self, feeds: list[Feed]) -> BoundSession:
        """Calls with inputs and outputs placed once in host memory, one binding per feed."""
        outputs = self.run_checked(feeds[0])
        bindings = [_binding(self._session, self.own(feed), outputs) for feed in feeds]
        return BoundSession(self._session, bindings, feeds, wait=self.spec.provider != "cpu")

    def assigned_node_count_by_provider(self) -> dict[str, int] | None:
        """Nodes of the graph as it was partitioned (before fusion), or None where the runtime cannot tell."""
        ask = getattr(self._session, "get_provider_graph_assignment_info", None)
        if ask is None:
            return None
        counts: dict[str, int] = {}
        for part in ask():
            counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
        return counts

    def end_profiling(self) -> str:
        """Path of the profile; ends it."""
        path: str = self._session.end_profiling()
        return path


class BoundSession:
    """Pre-bound calls of one session at one batch size; `run` does nothing but the call."""

    def __init__(self, session: Any, bindings: list[Any], feeds: list[Feed], wait: bool) -> None:
        self.batch_count = len(bindings)
        self._bindings = bindings
        self._feeds = feeds  # a binding reads this memory and does not keep it alive in every version
        self._run = session.run_with_iobinding
        self._errors = _runtime_errors()
        self._wait = wait

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, finished when this returns. Raises MeasureError where it fails."""
        binding = self._bindings[batch_number]
        try:
            self._run(binding)
            if self._wait:
                binding.synchronize_outputs()
        except self._errors as error:
            raise MeasureError(f"a timed call failed: {_first_line(error)}") from None


def describe_runtime() -> dict[str, Any]:
    """Name, version, build and compiled-in providers (onnxruntime's names) of the runtime here.

    Raises MeasureError where it is not installed.
    """
    onnxruntime = _onnxruntime()
    return {
        "runtime": "onnxruntime",
        "runtime_version": onnxruntime.__version__,
        "build_info": onnxruntime.get_build_info(),
        "providers_available": onnxruntime.get_available_providers(),
    }


def _onnxruntime() -> Any:
    """The runtime, imported when first needed: tables of names here must be readable without it."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError:
        raise MeasureError("this interpreter has no onnxruntime; install onnxruntime and numpy into it.") from None


def _session_options(spec: SessionSpec, profile_prefix: str | None) -> Any:
    onnxruntime = _onnxruntime()
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
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _binding(session: Any, feed: Feed, outputs: list[Any]) -> Any:
    """Inputs share the feed's memory; outputs get memory of their own, shaped as `outputs`."""
    make = _onnxruntime().OrtValue
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, make.ortvalue_from_numpy(array))
    for node, output in zip(session.get_outputs(), outputs):
        memory = make.ortvalue_from_shape_and_type(list(output.shape), output.dtype)
        binding.bind_ortvalue_output(node.name, memory)
    return binding


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its own classes share no base but Exception."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (ValueError, RuntimeError, *own)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
