"""A network as torch.export wrote it, run by torch on the CPU, eager or compiled, for reference; it knows no clock.

Part of the measuring program: nothing but the standard library, numpy, torch (inside functions) and `measure`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import json
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.provider import TORCH, Provider
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.onnxruntime_import import first_line
from kdbench.measure.session_spec import SessionSpec
from kdbench.measure.torch_providers import ROWS

INPUT_NAMES = "input_names.json"
"""The entry in a .pt2 file that lists the names of the program's inputs, in order."""
COMPILED = "torch_compiled"
READER = "torch.export.pt2_archive"
PRECISIONS = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
NO_COMPILER = "torch.compile finds no C++ compiler (CXX, g++ or clang++); install one, or leave torch_compiled out."


def save(
    model: Any, example: tuple[Any, ...], input_names: tuple[str, ...], path: Path, free: Sequence[Sequence[int]] = ()
) -> None:
    """Write a network in eval mode as a program that loads without the code that made it, its batch axis free.

    free: for each input, its axes of no fixed size; left out, the batch axis alone.
    Raises MeasureError where torch.export cannot follow it.
    """
    torch = _torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_axes = free or [(0,)] * len(example)
            axes = tuple(dict.fromkeys(places, torch.export.Dim.DYNAMIC) for places in open_axes)
            shapes = (axes,) if _takes_any_number(model) else axes
            program = torch.export.export(model, example, dynamic_shapes=shapes, strict=False)
            torch.export.save(program, path, extra_files={INPUT_NAMES: json.dumps(input_names)})
    except (RuntimeError, ValueError, torch._dynamo.exc.UserError) as error:
        raise MeasureError(f"torch.export cannot write {type(model).__name__}: {first_line(error)}") from error


def _takes_any_number(model: Any) -> bool:
    """Whether the inputs of a network are one argument, `*inputs`, to torch.export."""
    parameters = inspect.signature(model.forward).parameters.values()
    return [parameter.kind for parameter in parameters] == [inspect.Parameter.VAR_POSITIONAL]


class TorchSession(Session):
    """One file of `save` in torch, by the interpreter or by what torch.compile made of the whole of it.

    Compiled for each batch size by itself, in the first call on it. Raises MeasureError where the file does not load,
    or there is no C++ compiler.
    """

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked, self.providers_got = spec.provider_asked, [spec.provider_asked]
        self._torch = _torch()
        self._set_threads()
        self._torch.set_float32_matmul_precision("highest")  # else oneDNN may compute float32 in bf16
        if spec.provider == COMPILED:
            _prepare_compiler(spec.provider_options().get("cache_dir", ""))
        self._module, self.input_names = _load(path)
        self._call = self._module
        if spec.provider == COMPILED:
            self._call = self._torch.compile(self._module, fullgraph=True, dynamic=False)

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        tensors = self._tensors(feed)
        try:
            return _arrays(self.call(tensors))
        except RuntimeError as error:
            raise MeasureError(f"{self.path} does not run on these inputs: {first_line(error)}") from None

    def bind(self, feeds: list[Feed]) -> BoundProgram:
        """Calls on tensors that share the feeds' memory."""
        self.run_checked(feeds[0])
        return BoundProgram(self.call, [self._tensors(feed) for feed in feeds])

    def proof(self, feed: Feed) -> dict[str, Any]:
        """All operators of the program: torch.compile refuses a program that it cannot take whole."""
        self.run_checked(feed)
        count = sum(node.op == "call_function" for node in self._module.graph.nodes)
        tensors = [*self._module.state_dict().values(), *self._tensors(feed)]
        types = {str(tensor.dtype).rpartition(".")[2] for tensor in tensors if tensor.is_floating_point()}
        return {
            "node_count_by_provider": {self.provider_asked: count},
            "effective_precision": "+".join(sorted(PRECISIONS.get(name, name) for name in types)),
        }

    def call(self, tensors: tuple[Any, ...]) -> Any:
        """The call that is timed. Raises RuntimeError."""
        with self._torch.inference_mode():
            return self._call(*tensors)

    def _tensors(self, feed: Feed) -> tuple[Any, ...]:
        return tuple(self._torch.from_numpy(array) for array in self.own(feed).values())

    def _set_threads(self) -> None:
        """Raises MeasureError where this process has worked with another number of inter-op threads already."""
        self._torch.set_num_threads(self.spec.threads_intra)
        if self._torch.get_num_interop_threads() != self.spec.threads_inter:
            try:
                self._torch.set_num_interop_threads(self.spec.threads_inter)
            except RuntimeError as error:
                raise MeasureError(f"torch's inter-op threads cannot be set: {first_line(error)}") from None


class Torch(Runtime):
    """PyTorch on the CPU, eager or compiled: timed for reference, as nobody deploys a compressed model to it."""

    name = TORCH
    artefact = "pt2"
    loads = frozenset({"torch"})
    deployable = False
    providers: ClassVar[Mapping[str, Provider]] = ROWS

    def describe(self) -> dict[str, Any]:
        """Name, version and build of torch here. Raises MeasureError where it cannot be imported."""
        torch = _torch()
        return {
            "runtime": self.name,
            "runtime_version": torch.__version__,
            "build_info": f"git {torch.version.git_version}, CUDA {torch.version.cuda}",
            "providers_available": list(self.providers),
        }

    def load(self, path: str, spec: SessionSpec) -> TorchSession:
        return TorchSession(path, spec)

    def write_tiny(self, path: Path) -> None:
        """Convolution, ReLU, pooling and a linear layer."""
        torch = _torch()
        nn = torch.nn
        layers = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        save(nn.Sequential(*layers).eval(), (torch.zeros(2, 2, 8, 8),), ("x",), path)


class BoundProgram:
    """Calls of a program on tensors that lie ready; `call` gives its answers as tensors, or raises RuntimeError."""

    def __init__(self, call: Callable[[Any], Any], batches: Sequence[Any]) -> None:
        self.batch_count = len(batches)
        self._batches = batches
        self._call = call
        self._answers: dict[int, Any] = {}

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number. Raises MeasureError where it fails."""
        try:
            self._answers[batch_number] = self._call(self._batches[batch_number])
        except RuntimeError as error:
            raise MeasureError(f"a timed call failed: {first_line(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return _arrays(self._answers[batch_number])


def _arrays(outputs: Any) -> list[Any]:
    return [output.numpy() for output in (outputs if isinstance(outputs, (tuple, list)) else [outputs])]


def _torch() -> Any:
    """torch and what reads its programs, imported when first needed. Raises MeasureError where it cannot be."""
    if "torch" not in sys.modules and importlib.util.find_spec("torch") is None:
        raise MeasureError(f"the interpreter {sys.executable} has no torch; leave 'python' out for kdbench's own.")
    try:
        importlib.import_module(READER)  # a second or two that else would count as loading the first file
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:
        raise MeasureError(f"torch cannot be imported by {sys.executable}: {first_line(error)}") from None


def load_program(path: str) -> tuple[Any, list[str]]:
    """The exported program in a file of `save`, and its inputs' names. Raises MeasureError where it does not load."""
    torch = _torch()
    found = {INPUT_NAMES: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.11 takes the file's bytes for memory that it will write to
            program = torch.export.load(path, extra_files=found)
        names: list[str] = json.loads(found[INPUT_NAMES])
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise MeasureError(f"torch {torch.__version__} cannot load {path}: {first_line(error)}") from None
    return program, names


def _load(path: str) -> tuple[Any, list[str]]:
    """The program as a module that checks no shapes and unpacks no trees in each call, and its inputs' names."""
    program, names = load_program(path)
    module = program.module(check_guards=False)
    module.graph.set_codegen(_torch().fx.graph.CodeGen())
    module.recompile()
    return module, names


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """Where this process's compiler writes; removed when it ends."""
    return tempfile.TemporaryDirectory()


def _prepare_compiler(cache_folder: str) -> None:
    """Let torch.compile keep what it builds in a folder, or, without one, build everything in this process anew."""
    warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
    inductor: Any = importlib.import_module("torch._inductor.config")
    dynamo: Any = importlib.import_module("torch._dynamo.config")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache_folder or _own_folder().name
    inductor.force_disable_caches = not cache_folder
    inductor.compile_threads = 1  # else helpers stay beside what is timed
    dynamo.recompile_limit = sys.maxsize  # every batch size is one
    try:
        importlib.import_module("torch._inductor.cpp_builder").get_cpp_compiler()
    except RuntimeError:
        raise MeasureError(NO_COMPILER) from None
