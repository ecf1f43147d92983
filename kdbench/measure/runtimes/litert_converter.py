"""From torch's program to LiteRT's files, by litert-torch; in 8 bits by ai-edge-quantizer. Times nothing.

Part of the measuring program: the standard library, numpy, and, inside functions, torch, litert_torch and
ai_edge_quantizer.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.files import write_archive as write_zip
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.runtimes.torch import load_program

ENDING = "tflite.zip"
NAMES = "names.json"
"""The entry that says which inputs the files take, and which file is for which batch size."""
PACKAGES = ("litert-torch", "ai-edge-quantizer", "torch")
NEEDED = {"litert_torch": "litert-torch", "ai_edge_quantizer": "ai-edge-quantizer"}
STATIC = "static"
SIGNATURE, OPERANDS = "serving_default", "args_{}"
"""How litert-torch names a program's entry and its inputs."""


def versions() -> dict[str, str]:
    """The installed versions of what converts. Raises MeasureError where a package is missing."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        install = f"{sys.executable} -m pip install {' '.join(missing)}"
        raise MeasureError(
            f"the interpreter {sys.executable} has no {missing[0]}, which makes LiteRT's files; run `{install}`, or "
            "name one that has it in 'converter'."
        )
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def convert(source: str, out: Path, wishes: Wishes) -> Converted:
    """One file for each batch size, and one for single examples, in an archive.

    Raises MeasureError where examples vary in length. Where the converter does not take the program, its process dies,
    and whoever asked reads its last line.
    """
    if wishes.inputs.form.varying:
        raise MeasureError("LiteRT's files have fixed shapes, and the task's examples vary in length.")
    program, names = load_program(source)
    module = program.module(check_guards=False)
    files = {size: _converted(module, names, wishes, size) for size in sorted({1, *wishes.batch_sizes})}
    if wishes.technique:
        files = _quantized(files, names, wishes)
    write_archive(out, files, names)
    shipped = files[1]
    weights, fraction = _weights(shipped)
    return Converted(out, shipped, weights, fraction)


def write_archive(path: Path, files: Mapping[int, bytes], input_names: Iterable[str]) -> None:
    """Write the files of all batch sizes as one, always the same bytes."""
    entries = {str(size): f"batch-{size}.tflite" for size in files}
    names = {"inputs": list(input_names), "files": entries}
    held = {entries[str(size)]: content for size, content in files.items()}
    write_zip(path, {NAMES: json.dumps(names).encode(), **held})


def _converted(module: Any, names: list[str], wishes: Wishes, size: int) -> bytes:
    import torch

    litert_torch = importlib.import_module("litert_torch")
    feed = wishes.inputs.feeds(size, 1)[0]
    example = tuple(torch.from_numpy(feed[name]) for name in names)
    made = litert_torch.convert(module, example)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        made.export(path)
        return Path(path).read_bytes()


def _quantized(files: Mapping[int, bytes], names: list[str], wishes: Wishes) -> dict[int, bytes]:
    """In 8 bits: weights alone, with activations rounded in each call, or both.

    The ranges of activations are those that single training examples have, for the files of all batch sizes: they give
    one answer to one example.
    """
    works = {size: _quantizer(content, wishes.technique["activations"]) for size, content in files.items()}
    ranges = None
    if wishes.technique["activations"] == STATIC:
        feeds = wishes.inputs.feeds(1, wishes.technique["samples"])
        named = [{OPERANDS.format(number): feed[name] for number, name in enumerate(names)} for feed in feeds]
        ranges = works[1].calibrate({SIGNATURE: named})
    return {size: bytes(work.quantize(ranges).quantized_model) for size, work in works.items()}


def _quantizer(content: bytes, activations: str) -> Any:
    recipe = importlib.import_module("ai_edge_quantizer.recipe")
    operators = importlib.import_module("ai_edge_quantizer.qtyping").TFLOperationName
    work = importlib.import_module("ai_edge_quantizer.quantizer").Quantizer(bytearray(content))
    if activations != STATIC:
        work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
        return work
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    for place in (operators.INPUT, operators.OUTPUT):  # callers go on giving and getting floats
        work.update_quantization_recipe(regex=".*", operation_name=place, algorithm_key="no_quantize")
    return work


def _weights(content: bytes) -> tuple[dict[str, int], float]:
    """Bytes of a file's constants by type, and the share of its weights (two axes or more) of 8 bits or fewer."""
    import numpy

    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
        model_content=content, experimental_op_resolver_type=_undelegated()
    )
    sizes: Counter[str] = Counter()
    wide = small = 0
    for detail in _constants(interpreter):
        dtype = numpy.dtype(detail["dtype"])
        count = int(numpy.prod(detail["shape"]))
        sizes[dtype.name] += count * dtype.itemsize
        if len(detail["shape"]) > 1:
            wide += count
            small += count if dtype.itemsize == 1 else 0
    return dict(sizes), small / wide if wide else 0.0


def _undelegated() -> Any:
    resolver = importlib.import_module("ai_edge_litert.interpreter").OpResolverType
    return resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _constants(interpreter: Any) -> list[Any]:
    """The tensors that no operator makes and that are no input."""
    made = {int(tensor) for one in interpreter._get_ops_details() for tensor in one["outputs"]}
    made |= {int(one["index"]) for one in interpreter.get_input_details()}
    return [one for one in interpreter.get_tensor_details() if int(one["index"]) not in made and one["name"]]
