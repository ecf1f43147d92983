"""From torch's program to ExecuTorch's, lowered to XNNPACK; in 8 bits by XNNPACK's quantizer. Times nothing.

Part of the measuring program: the standard library, numpy, and, inside functions, torch, torchao and executorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.runtimes.onnxruntime_import import first_line
from kdbench.measure.runtimes.torch import load_program

TOLD = "kdbench_inputs"
"""A method of the program that gives the names of its inputs, as bytes of JSON."""
LEAST_EXAMPLE = 16
"""With a smaller batch as example, XNNPACK's partitioner caps a convolution's batch axis at 15 (executorch 1.5.1)."""
STATIC = "static"
RECURRENT = frozenset({"aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input"})
RUNS, CONVERTS = ("torch", "executorch"), ("torch", "torchao", "executorch")
"""Packages that running takes, and those whose versions decide what is made."""


def version_of(package: str) -> str:
    """An installed package's version."""
    return importlib.metadata.version(package)


def versions() -> dict[str, str]:
    """The installed versions of what converts. Raises MeasureError where a package is missing."""
    refuse_missing("converter", CONVERTS)
    return {package: version_of(package) for package in CONVERTS}


def refuse_missing(field: str, needed: Sequence[str]) -> None:
    """Raise MeasureError where this interpreter lacks a package; `field`: what of a measure entry names another."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        install = f"{sys.executable} -m pip install numpy {' '.join(needed)}"
        raise MeasureError(
            f"the interpreter {sys.executable} has no {missing[-1]}; run `{install}`, or name one that has it in "
            f"'{field}'."
        )


def convert(source: str, out: Path, wishes: Wishes) -> Converted:
    """A program planned for the largest batch and the longest example.

    Raises MeasureError where ExecuTorch, XNNPACK or its quantizer does not take the network.
    """
    program, names = load_program(source)
    module = program.module(check_guards=False)
    bound = max(LEAST_EXAMPLE, *wishes.batch_sizes)
    example = _tensors(wishes.inputs.feeds(bound, 1, wishes.longest)[0], names)
    free = _free_axes(program)
    refuse_recurrent(program, free)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what executorch and torchao will have to change one day
            if wishes.technique:
                module = _quantized(module, example, names, free, wishes)
            return _written(module, example, free, names, out)
    except _refusals() as error:
        raise MeasureError(f"ExecuTorch's converter does not take this network: {first_line(error)}.") from error


def _refusals() -> tuple[type[Exception], ...]:
    """What ExecuTorch's passes raise over networks that they do not take.

    A few raise a bare Exception: that ends the converting process, and whoever asked it tells the last line.
    """
    errors = importlib.import_module("executorch.exir.error")
    return (RuntimeError, ValueError, TypeError, AssertionError, errors.ExportError, errors.InternalError)


def write_tiny(path: Path) -> None:
    """Write a program of input `x`, (1, 2, 8, 8)."""
    import torch

    nn = torch.nn
    layers = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    example = (torch.zeros(1, 2, 8, 8),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _written(nn.Sequential(*layers).eval(), example, ((),), ["x"], path)


def _tensors(feed: Any, names: Sequence[str]) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(feed[name]) for name in names)


def _free_axes(program: Any) -> tuple[tuple[int, ...], ...]:
    """For each input of a program, its axes of no fixed size."""
    from torch.fx.experimental.symbolic_shapes import free_symbols

    given = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in given]
    return tuple(tuple(axis for axis, size in enumerate(shape) if free_symbols(size)) for shape in shapes)


def _exported(module: Any, example: tuple[Any, ...], free: Sequence[Sequence[int]]) -> Any:
    import torch

    axes = tuple(dict.fromkeys(places, torch.export.Dim.DYNAMIC) for places in free)
    return torch.export.export(module, example, dynamic_shapes=axes, strict=False)


def _quantized(
    module: Any, example: tuple[Any, ...], names: Sequence[str], free: Sequence[Sequence[int]], wishes: Wishes
) -> Any:
    """In 8 bits: weights alone, with activations rounded in each call, or both, in ranges of training examples."""
    pt2e = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    is_static = wishes.technique["activations"] == STATIC
    graph = _exported(module, example, free).module(check_guards=False)
    prepared = pt2e.prepare_pt2e(graph, _quantizer(is_static))
    if is_static:
        alone = (feed for _, feed in wishes.inputs.in_order(1))  # each at its own length
        for feed in itertools.islice(alone, wishes.technique["samples"]):
            prepared(*_tensors(feed, names))
    else:
        prepared(*example)
    return pt2e.convert_pt2e(prepared)


def _quantizer(is_static: bool) -> Any:
    """XNNPACK's quantizer, kept off integers: it would make floats of what is added to the lengths of examples."""
    found = importlib.import_module("executorch.backends.xnnpack.quantizer.xnnpack_quantizer")

    class OfFloats(found.XNNPACKQuantizer):  # type: ignore[name-defined, misc]
        def transform_for_annotation(self, model: Any) -> Any:
            kept = {node: node.args for node in _of_integers(model)}
            made = super().transform_for_annotation(model)
            for node, given in kept.items():
                node.args = given
            made.graph.eliminate_dead_code()
            made.recompile()
            return made

    config = found.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=not is_static)
    return OfFloats().set_global(config)


def _of_integers(model: Any) -> list[Any]:
    """The nodes of a graph that give a tensor of no floating-point type."""
    values = ((node, node.meta.get("val")) for node in model.graph.nodes)
    return [node for node, value in values if hasattr(value, "dtype") and not value.dtype.is_floating_point]


def _written(
    module: Any, example: tuple[Any, ...], free: Sequence[Sequence[int]], names: Sequence[str], out: Path
) -> Converted:
    import torch

    exir = importlib.import_module("executorch.exir")
    passes = importlib.import_module("executorch.exir.passes")
    program = _exported(module, example, free)
    weights, fraction = _weights(program)
    said = torch.tensor(list(json.dumps(list(names)).encode()), dtype=torch.uint8)
    edge = exir.to_edge_transform_and_lower(program, partitioner=[_partitioner(free)], constant_methods={TOLD: said})
    refuse_fixed(edge.exported_program(), free)
    # inputs that are planned into the program's memory would be overwritten by its run
    plan = passes.MemoryPlanningPass(alloc_graph_input=False)
    edge.to_executorch(exir.ExecutorchBackendConfig(memory_planning_pass=plan)).save(str(out))
    return Converted(out, out.read_bytes(), weights, fraction)


def refuse_recurrent(program: Any, free: Sequence[Sequence[int]]) -> None:
    """Raises MeasureError where a recurrent layer goes over examples of varying length.

    ExecuTorch has no such layer: its passes write down every step, for minutes, and for one length.
    """
    called = {str(node.target) for node in program.graph.nodes}
    if any(len(axes) > 1 for axes in free) and called & RECURRENT:
        raise MeasureError("ExecuTorch writes down each step of a recurrent layer, and this network's lengths vary.")


def refuse_fixed(lowered: Any, free: Sequence[Sequence[int]]) -> None:
    """Raises MeasureError where a pass has fixed an axis that was free: the program would take that one size alone."""
    for axes, kept in zip(free, _free_axes(lowered)):
        if set(axes) - set(kept):
            raise MeasureError(
                "ExecuTorch's lowering fixes an axis of this network's inputs, which would then take one size alone."
            )


def _partitioner(free: Sequence[Sequence[int]]) -> Any:
    """What gives XNNPACK its share of a program.

    Where lengths vary beside the batch, tensors keep to ExecuTorch while they get a further axis: the partitioner gives
    XNNPACK all such steps, whose lowering then refuses tensors with two free axes (executorch 1.5.1).
    """
    partition = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    configs = importlib.import_module("executorch.backends.xnnpack.partition.config").ALL_PARTITIONER_CONFIGS
    left_out = {"UnsqueezeCopyConfig"} if any(len(axes) > 1 for axes in free) else set()
    return partition.XnnpackPartitioner(configs=[config for config in configs if config.__name__ not in left_out])


def _weights(program: Any) -> tuple[dict[str, int], float]:
    """Bytes of a program's constants by type, and the share of its weights (two axes or more) of 8 bits or fewer.

    A quantized program still lists the float weights that it was made from, and reads them nowhere: they do not count.
    """
    sizes: Counter[str] = Counter()
    wide = small = 0
    for tensor in _constants(program):
        sizes[str(tensor.dtype).rpartition(".")[2]] += tensor.numel() * tensor.element_size()
        if tensor.ndim > 1:
            wide += tensor.numel()
            small += tensor.numel() if tensor.element_size() == 1 else 0
    return dict(sizes), small / wide if wide else 0.0


def _constants(program: Any) -> list[Any]:
    """The tensors that a program holds and reads."""
    signature = program.graph_signature
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    read = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    held = {**program.constants, **program.state_dict}
    return [held[target] for target in dict.fromkeys(targets[name] for name in targets if name in read)]
