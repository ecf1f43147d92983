"""Which runtime opens a file: the table of runtimes, and what each one's session can do; it loads none until asked."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from kdbench.measure.providers import ONNXRUNTIME, TORCH, runtime_of
from kdbench.measure.runtimes.bound_calls import Feed

if TYPE_CHECKING:
    from kdbench.measure.session_spec import SessionSpec

RUNTIMES = {
    ONNXRUNTIME: "kdbench.measure.runtimes.onnxruntime:OnnxruntimeSession",
    TORCH: "kdbench.measure.runtimes.torch:TorchSession",
}
"""Runtime -> its `Session`, imported when a file is opened in it."""


class Bound(Protocol):
    """A session's calls on batches that lie ready, and what they answered."""

    batch_count: int

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, finished when this returns. Raises MeasureError where it fails."""
        ...

    def outputs(self, batch_number: int) -> list[Any]:
        """What the last call on the batch of that number gave, in host memory."""
        ...


class Session(Protocol):
    """One file in a runtime. Raises MeasureError where it cannot do exactly what was asked, or a call fails."""

    provider_asked: str
    providers_got: list[str]

    def __init__(self, path: str, spec: SessionSpec) -> None: ...

    @staticmethod
    def describe() -> dict[str, Any]:
        """`runtime`, `runtime_version`, `build_info` and `providers_available` of the runtime here."""
        ...

    def own(self, feed: Feed) -> Feed:
        """This file's inputs of a feed, in its order."""
        ...

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch."""
        ...

    def run_checked(self, feed: Feed) -> list[Any]:
        """As `run`, but raises MeasureError also where an output is NaN or infinite."""
        ...

    def bind(self, feeds: list[Feed]) -> Bound:
        """Calls whose inputs are placed once, one for each feed."""
        ...


def session_class(provider: str) -> Any:
    """The `Session` that runs files on a provider, by short name."""
    module, _, name = RUNTIMES[runtime_of(provider)].partition(":")
    return getattr(importlib.import_module(module), name)


def open_session(path: str, spec: SessionSpec) -> Session:
    """A file in the runtime of the provider that is asked for. Raises MeasureError."""
    opened: Session = session_class(spec.provider)(path, spec)
    return opened
