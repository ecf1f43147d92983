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
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.mobile_providers import ROWS
from kdbench.measure.provider import EXECUTORCH, Provider
from kdbench.measure.runtimes import executorch_converter
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.executorch_kernels import call_of, events_of, proof_of
from kdbench.measure.runtimes.onnxruntime_import import first_line
from kdbench.measure.runtimes.torch import BoundProgram
from kdbench.measure.session_spec import SessionSpec

BINDINGS = "executorch.extension.pybindings._C"
ENTRY = "forward"
PROOF_CALLS = 2
"""The first call may still prepare something; the last is the proof."""


class ExecutorchSession(Session):
    """One program, planned for inputs up to a bound; a larger batch is answered in several calls, and never timed.

    Raises MeasureError where the file does not load, or this process has worked with another number of threads.
    """

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked, self.providers_got = spec.provider_asked, [spec.provider_asked]
        _set_threads(spec.threads_intra)
        try:
            program = _bindings()._load_program(path)
            self._method = program.load_method(ENTRY)
            self.input_names = _names(program)
        except (RuntimeError, ValueError) as error:
            raise MeasureError(f"ExecuTorch cannot load {path}: {first_line(error)}") from None
        meta = self._method.method_meta()
        sizes = [tuple(meta.input_tensor_meta(place).sizes()) for place in range(meta.num_inputs())]
        self.bounds = dict(zip(self.input_names, sizes))
        """Input -> the largest size of each of its axes."""
        self._program = program  # a method reads its program's memory

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch, in as many calls as its size takes. Raises MeasureError where it cannot run."""
        import numpy

        own = self.own(feed)
        most = min(bound[0] for bound in self.bounds.values())
        pieces = []
        for begin in range(0, len(next(iter(own.values()))), most):
            piece = {name: array[begin : begin + most] for name, array in own.items()}
            self._refuse_larger(piece)
            try:
                pieces.append(arrays(self.call(tensors(piece))))
            except RuntimeError as error:
                raise MeasureError(f"{self.path} does not run on these inputs: {first_line(error)}") from None
        return [numpy.concatenate(outputs) for outputs in zip(*pieces)]

    def bind(self, feeds: list[Feed]) -> BoundProgram:
        """Calls on tensors that share the feeds' memory. Raises MeasureError beyond the planned sizes."""
        own = [self.own(feed) for feed in feeds]
        self._refuse_larger(own[0])
        self.run_checked(feeds[0])
        return BoundProgram(self.call, [tensors(feed) for feed in own])

    def proof(self, feed: Feed) -> dict[str, Any]:
        """The kernels of one call, from ExecuTorch's own record of it (ETDump), made by a program beside this one."""
        self.bind([feed])
        with tempfile.TemporaryDirectory() as folder:
            dump, buffer = (str(Path(folder) / name) for name in ("dump.etdp", "buffer.bin"))
            recorded = _bindings()._load_for_executorch(self.path, enable_etdump=True)
            for _ in range(PROOF_CALLS):
                recorded.forward(tensors(self.own(feed)))
            recorded.write_etdump_result_to_file(dump, buffer)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what executorch's readers will have to change one day
                inspector = importlib.import_module("executorch.devtools").Inspector(etdump_path=dump)
                operators = _operators(self.path)
        return proof_of(call_of(events_of(inspector), operators), self.provider_asked)

    def call(self, inputs: list[Any]) -> list[Any]:
        """The call that is timed: inputs set, run, and outputs copied out of what the next call overwrites, as tensors.

        All in one step of the bindings: in three, a small network's time would be half Python's. Raises RuntimeError.
        """
        answered: list[Any] = self._method.call(inputs)
        return answered

    def _refuse_larger(self, feed: Feed) -> None:
        """Raises MeasureError where an input has an axis that is longer than the program was planned for."""
        for name, array in feed.items():
            bound = self.bounds[name]
            if len(array.shape) != len(bound) or any(size > most for size, most in zip(array.shape, bound)):
                raise MeasureError(
                    f"{self.path} was planned for '{name}' up to the shape {bound}, and is asked for {array.shape}."
                )


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
        versions = {name: executorch_converter.version_of(name) for name in executorch_converter.RUNS}
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


def tensors(feed: Feed) -> list[Any]:
    """The arrays of a feed as tensors that share their memory."""
    import torch

    return [torch.from_numpy(array) for array in feed.values()]


def arrays(answered: list[Any]) -> list[Any]:
    """What a program answered as numpy's arrays."""
    return [output.numpy() for output in answered]


def _names(program: Any) -> list[str]:
    """The names of a program's inputs, in order: it carries them as a method of its own."""
    method = program.load_method(executorch_converter.TOLD)
    method.execute()
    found: list[str] = json.loads(bytes(method.get_outputs()[0].tolist()))
    return found


def _operators(path: str) -> list[str]:
    """The operators of a program outside its delegates, in the order in which they run."""
    reader = importlib.import_module("executorch.exir._serialize._program")
    program = reader.deserialize_pte_binary(Path(path).read_bytes()).program
    (plan,) = (plan for plan in program.execution_plan if plan.name == ENTRY)
    called = (step.instr_args for chain in plan.chains for step in chain.instructions)
    numbers = [step.op_index for step in called if type(step).__name__ == "KernelCall"]
    return [".".join(filter(None, (plan.operators[n].name, plan.operators[n].overload))) for n in numbers]


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
    executorch_converter.refuse_missing("python", executorch_converter.RUNS)
    try:
        importlib.import_module("torch")
        return importlib.import_module(BINDINGS)
    except (ImportError, OSError) as error:
        raise MeasureError(f"ExecuTorch cannot be imported by {sys.executable}: {first_line(error)}.") from None
