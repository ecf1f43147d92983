"""OpenVINO by its own API: ONNX files on the CPU, its precision always said and read back; it knows no clock.

Part of the measuring program: nothing but the standard library, numpy, openvino (inside functions) and `measure`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.provider import FOLDER, OPENVINO, RAPL, THREADS, Precision, Provider
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.openvino_layers import STORED_IN_8_BITS, layers_of, proof_of
from kdbench.measure.session_spec import SessionSpec

HINT = "INFERENCE_PRECISION_HINT"
READ_BACK = (HINT, "INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")
"""Properties that a compiled model must have as they were said."""
TRUTHS = {"YES": "True", "NO": "False"}
ALWAYS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "INFERENCE_NUM_THREADS": THREADS,
    "ENABLE_CPU_PINNING": "NO",
}
DUTIFUL = "Exception from ", "Check '", "FrontEnd API failed"
"""How the lines of OpenVINO's errors begin that only name its own source files."""
NO_ERRORS = (RuntimeError, ValueError, TypeError)
"""Raised by OpenVINO for files, properties and tensors that it does not take."""


class OpenvinoSession(Session):
    """One ONNX file on OpenVINO's CPU device, in the precision and on the threads that were asked for.

    The precision is always said: left alone, OpenVINO computes float32 files in bf16 wherever the processor has it.
    Raises MeasureError where the file does not load, or the compiled model reads otherwise than it was told.
    """

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked = spec.provider_asked
        self.providers_got = [spec.provider_asked]
        try:
            self._model = _core().read_model(path)
            self._compiled = self._compile()
        except NO_ERRORS as error:
            raise MeasureError(f"OpenVINO cannot load {path}: {reason_of(error)}") from None
        fault = told_otherwise(spec.provider_options(), self._read_back())
        if fault is not None:
            raise MeasureError(fault)
        self.input_names = [port.get_any_name() for port in self._compiled.inputs]

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        try:
            return _answers(_ready(self._compiled, self.own(feed)))
        except NO_ERRORS as error:
            raise MeasureError(f"{self.path} does not run on these inputs: {reason_of(error)}") from None

    def bind(self, feeds: list[Feed]) -> BoundRequests:
        """A request for each batch, whose inputs share the feed's memory, and whose outputs have their own."""
        outputs = self.run_checked(feeds[0])
        return BoundRequests(self._compiled, [self.own(feed) for feed in feeds], outputs)

    def proof(self, feed: Feed) -> dict[str, Any]:
        """From a model beside the timed one that counts: layers exist as they are run only after a call on a shape."""
        request = _ready(self._counting, self.own(feed))
        _answers(request)
        spent = sum(entry.real_time.total_seconds() for entry in request.get_profiling_info())
        infos = [_texts(op.get_rt_info()) for op in self._counting.get_runtime_model().get_ordered_ops()]
        layers = layers_of(infos)
        return proof_of(layers, self.provider_asked, round(spent * 1e9), self._stored_in_8_bits())

    @functools.cached_property
    def _counting(self) -> Any:
        return self._compile(PERF_COUNT="YES")

    def _compile(self, **more: str) -> Any:
        return _core().compile_model(self._model, self.provider_asked, {**self.spec.provider_options(), **more})

    def _read_back(self) -> dict[str, str]:
        """The properties of the compiled model, as texts like those that it was told."""
        found = {name: self._compiled.get_property(name) for name in READ_BACK}
        return {**{name: str(value) for name, value in found.items()}, HINT: found[HINT].get_type_name()}

    def _stored_in_8_bits(self) -> int:
        constants = [op for op in self._model.get_ops() if op.get_type_name() == "Constant"]
        types = [op.get_output_element_type(0).get_type_name() for op in constants if op.get_output_shape(0)]
        return sum(name in STORED_IN_8_BITS for name in types)


class BoundRequests:
    """Calls of one session at one batch size: an infer request for each batch, inputs and outputs placed once."""

    def __init__(self, compiled: Any, feeds: list[Feed], outputs: list[Any]) -> None:
        """`outputs`: those of the first batch, which say their shapes."""
        self.batch_count = len(feeds)
        self._feeds = feeds  # a shared tensor reads this memory
        self._requests = [_ready(compiled, feed) for feed in feeds]
        for request in self._requests:
            for number, output in enumerate(outputs):
                request.set_output_tensor(number, _openvino().Tensor(output.copy()))
        self._calls = [request.infer for request in self._requests]

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, finished when this returns. Raises MeasureError where it fails."""
        try:
            self._calls[batch_number]()
        except NO_ERRORS as error:
            raise MeasureError(f"a timed call failed: {reason_of(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return _outputs(self._requests[batch_number])


class Openvino(Runtime):
    """OpenVINO on the CPU: reads ONNX, computes in f32 or bf16 as it is told, and in int8 where the file does."""

    name = OPENVINO
    providers: ClassVar[Mapping[str, Provider]] = {
        "openvino": Provider(
            "CPU",
            counter=RAPL,
            precisions={"fp32": Precision({HINT: "f32"}), "bf16": Precision({HINT: "bf16"}, "bf16")},
            always=ALWAYS,
            engine_cache={"CACHE_DIR": FOLDER},
            overriding=frozenset({"EXECUTION_MODE_HINT"}),
            runtime=OPENVINO,
            runs_in_caller=True,
            read_from="openvino 2026.4.1",
        )
    }

    def describe(self) -> dict[str, Any]:
        """Name, version, build and devices of OpenVINO here. Raises MeasureError where it cannot be imported."""
        openvino = _openvino()
        version, _, build = openvino.get_version().partition("-")
        return {
            "runtime": self.name,
            "runtime_version": version,
            "build_info": build,
            "providers_available": list(_core().available_devices),
        }

    def load(self, path: str, spec: SessionSpec) -> OpenvinoSession:
        return OpenvinoSession(path, spec)


def told_otherwise(told: Mapping[str, str], read_back: Mapping[str, str]) -> str | None:
    """The first property that a compiled model has otherwise than it was told, as a sentence; None where all agree."""
    for name in READ_BACK:
        said, found = told.get(name), read_back[name]
        if said is not None and TRUTHS.get(said, said) != found:
            return f"asked OpenVINO for {name} {said}, it compiled the file with {found}."
    return None


def reason_of(error: Exception) -> str:
    """The line of an error of OpenVINO that says what is the matter: most only name its source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(DUTIFUL)]
    return (told or lines or [type(error).__name__])[0]


def _ready(compiled: Any, feed: Feed) -> Any:
    """A request whose inputs share the feed's memory.

    Handing arrays to `infer` would not do: it takes one of a wrong shape without a word, and gives the answer of the
    call before (openvino 2026.4.1).
    """
    request, tensor = compiled.create_infer_request(), _openvino().Tensor
    for name, array in feed.items():
        request.set_tensor(name, tensor(array, shared_memory=True))
    return request


def _answers(request: Any) -> list[Any]:
    request.infer()
    return _outputs(request)


def _outputs(request: Any) -> list[Any]:
    """The outputs of a request's last call, in memory of their own."""
    return [tensor.data.copy() for tensor in request.output_tensors]


def _texts(info: Any) -> dict[str, str]:
    """The `rt_info` of a layer as plain texts."""
    names = ("layerType", "runtimePrecision", "primitiveType")
    return {name: str(getattr(info[name], "value", info[name])) for name in names}


def _openvino() -> Any:
    """OpenVINO, imported when first needed. Raises MeasureError where it cannot be."""
    if "openvino" not in sys.modules and importlib.util.find_spec("openvino") is None:
        install = f"{sys.executable} -m pip install openvino"
        raise MeasureError(
            f"the interpreter {sys.executable} has no openvino; run `{install}`, or name one that has it in 'python'."
        )
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise MeasureError(f"openvino cannot be imported by {sys.executable}: {reason_of(error)}.") from None


@functools.cache
def _core() -> Any:
    """The one core of a process: it holds the device's plug-in, loaded once."""
    return _openvino().Core()
