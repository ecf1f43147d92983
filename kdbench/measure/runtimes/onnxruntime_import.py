"""onnxruntime as it is imported, what it raises, a sentence where it is missing; it knows no file and no provider."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import sys
from typing import Any

from kdbench.errors import MeasureError

PACKAGES = ("numpy", "onnxruntime")


def onnxruntime() -> Any:
    """The runtime, imported when first needed: tables of names must be readable without it.

    Raises MeasureError where this interpreter lacks it or numpy, or has a broken one.
    """
    for package in PACKAGES:
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            raise MeasureError(
                f"the interpreter {sys.executable} has no {package}; run `{sys.executable} -m pip install numpy "
                "onnxruntime`, or install another distribution of onnxruntime there."
            )
    try:
        module = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MeasureError(f"onnxruntime cannot be imported by {sys.executable}: {first_line(error)}") from None
    if not hasattr(module, "InferenceSession"):
        raise MeasureError(
            f"onnxruntime in {sys.executable} is damaged, as when two of its distributions overwrote each other; "
            "uninstall them all and install one."
        )
    return module


@functools.cache
def preload_libraries() -> None:
    """Load NVIDIA's libraries that came as Python packages (`onnxruntime-gpu[cuda,cudnn]`): no loader looks there.

    What is missing is told on standard error when a session needs it.
    """
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def runtime_errors() -> tuple[type[Exception], ...]:
    """All classes that onnxruntime raises: its own share no base but Exception."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (ValueError, RuntimeError, *own)


def first_line(error: Exception) -> str:
    """The first line of an exception from another library, for a sentence of ours."""
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
