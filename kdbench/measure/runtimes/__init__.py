"""Which runtime runs a session: kdbench's own by its provider, a third party's by the place of its class."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kdbench.errors import MeasureError
from kdbench.measure.provider import EXECUTORCH, LITERT, ONNXRUNTIME, ONNXRUNTIME_WEB, OPENVINO, TORCH
from kdbench.measure.providers import runtime_of
from kdbench.measure.runtimes.contract import Runtime, Session

if TYPE_CHECKING:
    from kdbench.measure.session_spec import SessionSpec

OWN = {
    ONNXRUNTIME: "kdbench.measure.runtimes.onnxruntime:Onnxruntime",
    TORCH: "kdbench.measure.runtimes.torch:Torch",
    OPENVINO: "kdbench.measure.runtimes.openvino:Openvino",
    LITERT: "kdbench.measure.runtimes.litert:Litert",
    ONNXRUNTIME_WEB: "kdbench.measure.runtimes.onnxruntime_web:OnnxruntimeWeb",
    EXECUTORCH: "kdbench.measure.runtimes.executorch:Executorch",
}
"""kdbench's own runtimes; the registry has the same strings, and does not travel with the measuring program."""


def runtime_class(place: str) -> type[Runtime]:
    """The class at "module:Class". Raises MeasureError where there is none."""
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise MeasureError(f"the runtime {place} cannot be imported: {error}.") from None
    if not (isinstance(found, type) and issubclass(found, Runtime)):
        raise MeasureError(f"{place} is no runtime: it does not derive from {Runtime.__module__}:Runtime.")
    return found


def runtime_for(spec: SessionSpec) -> Runtime:
    """The runtime that a session asks for; its library is not loaded."""
    return runtime_class(spec.runtime or OWN[runtime_of(spec.provider)])()


def open_session(path: str, spec: SessionSpec) -> Session:
    """A file in the runtime that is asked for. Raises MeasureError."""
    return runtime_for(spec).load(path, spec)


def describe_runtime(spec: SessionSpec) -> dict[str, Any]:
    """The description of a session's runtime here. Raises MeasureError where it is not installed."""
    return runtime_for(spec).describe()
