"""The contract of runtimes: one says which files it reads and which providers it has, and opens files as sessions.

A third party's runtime is a class of this contract, registered by an entry point (group `kdbench.runtimes`) or named in
a suite as `file.py:Class`. Its code travels with the measuring program into interpreters that may have neither kdbench
nor the third party's package. So it imports no more than the standard library, numpy, its own library and
`kdbench.measure`, its library only inside functions, and it keeps to the syntax of Python 3.9.
One whose library reads files of another form than kdbench writes says what they are made from (`made_from`) and makes
them (`convert`), in the interpreter that a measure entry names in `converter`.
`kdbench.testing.check_runtime` tries all of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from kdbench.errors import MeasureError
from kdbench.measure.provider import Provider
from kdbench.measure.runtimes.tiny_model import TINY_ONNX

if TYPE_CHECKING:
    from kdbench.measure.conversion import Converted, Wishes
    from kdbench.measure.session_spec import SessionSpec

Feed = dict[str, Any]
"""Input name -> array of one batch, shape (batch, ...)."""


class Bound(Protocol):
    """A session's calls on batches that lie ready, and what they answered.

    One that runs elsewhere also has `timed(batch_numbers) -> list of nanoseconds`, by the clock of where it runs.
    """

    batch_count: int

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, finished when this returns. Raises MeasureError where it fails."""
        ...

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number, in host memory; asked when nothing is timed."""
        ...


class Session(ABC):
    """One file, loaded. Whatever it cannot do exactly as asked is a MeasureError, never something slower in silence."""

    path: str
    provider_asked: str
    """The runtime's own name of the provider."""
    providers_got: list[str]
    input_names: list[str]

    @abstractmethod
    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch, as numpy arrays. Raises MeasureError where it cannot run."""

    @abstractmethod
    def proof(self, feed: Feed) -> dict[str, Any]:
        """Proof of one call: `node_count_by_provider`, and where the runtime tells them `kernel_ns_by_provider`,
        `int8_kernel_fraction`, `effective_precision`, `execution_note`: a remark on how the file was computed."""

    def bind(self, feeds: list[Feed]) -> Bound:
        """Calls whose inputs are placed once, one for each feed. Overridden where that saves work in each call."""
        self.run_checked(feeds[0])
        return _Plain(self, [self.own(feed) for feed in feeds])

    def own(self, feed: Feed) -> Feed:
        """This file's inputs of a feed, in its order. Raises MeasureError where the feed lacks one."""
        missing = [name for name in self.input_names if name not in feed]
        if missing:
            given = ", ".join(feed)
            raise MeasureError(f"{self.path} wants an input '{missing[0]}', the inputs given are named {given}.")
        return {name: feed[name] for name in self.input_names}

    def run_checked(self, feed: Feed) -> list[Any]:
        """As `run`, but raises MeasureError also where an output is NaN or infinite."""
        outputs = self.run(feed)
        if not all_finite(outputs):
            raise MeasureError(f"{self.path} gives outputs that are not finite.")
        return outputs


class Runtime(ABC):
    """A library that runs files."""

    name: ClassVar[str]
    """As it is registered, and as records call it."""
    artefact: ClassVar[str] = "onnx"
    """The ending of the file it reads: `onnx`, `pt2` for what torch.export writes, or another that it `convert`s to."""
    made_from: ClassVar[str] = ""
    """The ending of the file that it converts, `onnx` or `pt2`; empty where it reads such a file itself."""
    in_process: ClassVar[bool] = True
    """Whether files run in the process that loads them: else its memory says nothing of theirs."""
    loads: ClassVar[frozenset[str]] = frozenset()
    """Heavy modules that its library itself imports, and that a process which times may therefore have loaded."""
    deployable: ClassVar[bool] = True
    """Whether anybody ships a compressed model on it; else it is timed for reference only."""
    providers: ClassVar[Mapping[str, Provider]]
    """Short name, as suites and sessions give it -> what may be asked of that provider."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """`runtime`, `runtime_version`, `build_info` and `providers_available` of the library here; imports it.

        Raises MeasureError where it is not installed or broken.
        """

    @abstractmethod
    def load(self, path: str, spec: SessionSpec) -> Session:
        """A file as a session of `spec`. Raises MeasureError where it does not load, or not as it was asked."""

    def prove(self, path: str, spec: SessionSpec, feeds: Mapping[int, Feed]) -> dict[str, Any]:
        """The proofs of one call at each batch size, in a session that is never timed. Raises MeasureError."""
        session = self.load(path, spec)
        return {
            "provider_asked": session.provider_asked,
            "provider_options": spec.provider_options(),
            "providers_got": session.providers_got,
            "by_batch": {str(size): session.proof(feed) for size, feed in feeds.items()},
        }

    def converter_versions(self) -> dict[str, str]:
        """The packages here whose versions decide what `convert` makes; overridden where it converts.

        Raises MeasureError with the remedy where one is missing.
        """
        return {}

    def convert(self, source: str, out: Path, wishes: Wishes) -> Converted:
        """Write `out` from a file of `made_from`, in an interpreter that has the converter.

        Raises MeasureError where it cannot be done.
        """
        raise MeasureError(f"runtime {self.name} converts nothing.")

    def write_tiny(self, path: Path) -> None:
        """Write a tiny model of input `x`, (1, 2, 8, 8): overridden where `artefact` is not onnx."""
        path.write_bytes(TINY_ONNX)


class _Plain:
    """Calls of `Session.run` on feeds that lie ready."""

    def __init__(self, session: Session, feeds: Sequence[Feed]) -> None:
        self.batch_count = len(feeds)
        self._session, self._feeds = session, feeds
        self._answers: dict[int, list[Any]] = {}

    def run(self, batch_number: int) -> None:
        self._answers[batch_number] = self._session.run(self._feeds[batch_number])

    def outputs(self, batch_number: int) -> list[Any]:
        return self._answers[batch_number]


def all_finite(outputs: list[Any]) -> bool:
    """Whether no floating-point output holds NaN or an infinity."""
    import numpy

    return all(bool(numpy.isfinite(output).all()) for output in outputs if output.dtype.kind == "f")
