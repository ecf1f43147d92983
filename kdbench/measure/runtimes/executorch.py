"""ExecuTorch on the CPU through XNNPACK; it knows no clock.

Part of the measuring program: the standard library, numpy, and, inside functions, torch and executorch's bindings,
which link against torch.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.mobile_providers import ROWS
from kdbench.measure.provider import EXECUTORCH, Provider
from kdbench.measure.runtimes import executorch_converter
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.executorch_kernels import calls_of, proof_of
from kdbench.measure.runtimes.onnxruntime_import import first_line
from kdbench.measure.session_spec import SessionSpec

BINDINGS = "executorch.extension.pybindings._C"
ENTRY = "forward"
PROOF_CALLS = 2
"""The first call may still prepare something; the last is the proof."""


class ExecutorchSession(Session):
    """One program, planned for batches up to a bound; a larger batch is answered in several calls, and never timed.

    Raises MeasureError where the file does not load, or this process has worked with another number of threads.
    """

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked, self.providers_got = spec.provider_asked, [spec.provider_asked]
        _set_threads(spec.threads_intra)
        try:
            self._program = _bindings()._load_program(path)
            self._method = self._program.load_method(ENTRY)
            told = self._told()
        except (RuntimeError, ValueError) as error:
            raise MeasureError(f"ExecuTorch cannot load {path}: {first_line(error)}") from None
        self.input_names: list[str] = told["inputs"]
        self.bound: int = told["batch"]

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch, in as many calls as its size takes. Raises MeasureError where it cannot run."""
        import numpy

        own = self.own(feed)
        count = len(next(iter(own.values())))
        pieces = [
            self.call(self.tensors({name: array[begin : begin + self.bound] for name, array in own.items()}))
            for begin in range(0, count, self.bound)
        ]
        return [numpy.concatenate(outputs) for outputs in zip(*pieces)]

    def bind(self, feeds: list[Feed]) -> BoundMethod:
        """Calls on tensors that share the feeds' memory. Raises MeasureError beyond the planned batch."""
        own = [self.own(feed) for feed in feeds]
        size = len(next(iter(own[0].values())))
        if size > self.bound:
            raise MeasureError(f"{self.path} was planned for batches up to {self.bound}, and is asked for {size}.")
        self.run_checked(feeds[0])
        return BoundMethod(self, [self.tensors(feed) for feed in own])

    def proof(self, feed: Feed) -> dict[str, Any]:
        """The kernels of one call, from ExecuTorch's own record of it (ETDump), made by a program beside this one."""
        self.bind([feed])
        with tempfile.TemporaryDirectory() as folder:
            dump, buffer = (str(Path(folder) / name) for name in ("dump.etdp", "buffer.bin"))
            recorded = _bindings()._load_for_executorch(self.path, enable_etdump=True)
            for _ in range(PROOF_CALLS):
                recorded.forward(list(self.tensors(self.own(feed))))
            recorded.write_etdump_result_to_file(dump, buffer)
            inspector = importlib.import_module("executorch.devtools").Inspector(etdump_path=dump)
        return proof_of(calls_of(inspector), self.provider_asked)

    def call(self, tensors: list[Any]) -> list[Any]:
        """The call that is timed: inputs set, run, outputs taken out, as a caller must before the next call.

        Raises RuntimeError.
        """
        self._method.set_inputs(tensors)
        self._method.execute()
        return [output.numpy() for output in self._method.get_outputs()]

    def tensors(self, feed: Feed) -> list[Any]:
        import torch

        return [torch.from_numpy(array) for array in feed.values()]

    def _told(self) -> dict[str, Any]:
        """The names of inputs and the planned batch, which the file carries as a method of its own."""
        method = self._program.load_method(executorch_converter.TOLD)
        method.execute()
        found: dict[str, Any] = json.loads(bytes(method.get_outputs()[0].tolist()))
        return found


class BoundMethod:
    """Calls of one program at one batch size whose inputs lie ready."""

    def __init__(self, session: ExecutorchSession, batches: list[list[Any]]) -> None:
        self.batch_count = len(batches)
        self._batches, self._call = batches, session.call
        self._answers: dict[int, list[Any]] = {}

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number. Raises MeasureError where it fails."""
        try:
            self._answers[batch_number] = self._call(self._batches[batch_number])
        except RuntimeError as error:
            raise MeasureError(f"a timed call failed: {first_line(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return self._answers[batch_number]


class Executorch(Runtime):
    """ExecuTorch on the CPU: its programs are made from torch's, and XNNPACK runs what it takes of them."""

    name = EXECUTORCH
    artefact = "pte"
    made_from = "pt2"
    loads = frozenset({"torch", "pandas"})  # its bindings link against torch, its reader of ETDump uses pandas
    providers: ClassVar[Mapping[str, Provider]] = {"executorch": ROWS["executorch"]}

    def describe(self) -> dict[str, Any]:
        """Name and version of ExecuTorch here. Raises MeasureError where it cannot be imported."""
        _bindings()
        versions = {name: executorch_converter.version_of(name) for name in ("executorch", "torch")}
        return {
            "runtime": self.name,
            "runtime_version": versions["executorch"],
            "build_info": f"torch {versions['torch']}",
            "providers_available": ["XnnpackBackend"],
        }

    def load(self, path: str, spec: SessionSpec) -> ExecutorchSession:
        return ExecutorchSession(path, spec)

    def converter_versions(self) -> dict[str, str]:
        return executorch_converter.versions()

    def convert(self, source: str, out: Path, wishes: Wishes) -> Converted:
        return executorch_converter.convert(source, out, wishes)

    def write_tiny(self, path: Path) -> None:
        """A convolution, a mean and a linear layer."""
        executorch_converter.write_tiny(path)


_threads: list[int] = []
"""The number of threads that this process works with."""


def _set_threads(count: int) -> None:
    """Raises MeasureError where this process has worked with another number: there is one pool for all programs."""
    if not _threads:
        _bindings()._unsafe_reset_threadpool(count)
        _threads.append(count)
    elif _threads != [count]:
        raise MeasureError(f"ExecuTorch works with {_threads[0]} threads in this process, and is asked for {count}.")


@functools.cache
def _bindings() -> Any:
    """ExecuTorch's bindings, behind torch. Raises MeasureError where they cannot be imported."""
    executorch_converter.refuse_missing("python", "numpy")
    try:
        importlib.import_module("torch")
        return importlib.import_module(BINDINGS)
    except (ImportError, OSError) as error:
        raise MeasureError(f"ExecuTorch cannot be imported by {sys.executable}: {first_line(error)}.") from None
