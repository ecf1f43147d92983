"""From torch's program to ExecuTorch's, lowered to XNNPACK; in 8 bits by XNNPACK's quantizer. Times nothing.

Part of the measuring program: the standard library, numpy, and, inside functions, torch, torchao and executorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.runtimes.torch import load_program

TOLD = "kdbench_told"
"""A method of the program that gives the names of its inputs and the batch it is planned for, as bytes of JSON."""
LEAST_EXAMPLE = 16
"""With a smaller batch as example, XNNPACK's partitioner caps a convolution's batch axis at 15 (executorch 1.5.1)."""
STATIC = "static"
MOST_NAMED = 4
PACKAGES = ("executorch", "torchao", "torch")


def version_of(package: str) -> str:
    """An installed package's version."""
    return importlib.metadata.version(package)


def versions() -> dict[str, str]:
    """The installed versions of what converts. Raises MeasureError where a package is missing."""
    refuse_missing("converter", "torch")
    return {package: version_of(package) for package in PACKAGES}


def refuse_missing(field: str, *beside: str) -> None:
    """Raise MeasureError where this interpreter has no executorch; `field`: what of a measure entry names another."""
    missing = [name for name in ("torch", "executorch") if importlib.util.find_spec(name) is None]
    if missing:
        install = f"{sys.executable} -m pip install {' '.join(dict.fromkeys((*beside, 'torch', 'executorch')))}"
        raise MeasureError(
            f"the interpreter {sys.executable} has no {missing[-1]}; run `{install}`, or name one that has it in "
            f"'{field}'."
        )


def convert(source: str, out: Path, wishes: Wishes) -> Converted:
    """A program planned for the largest batch and the longest example.

    Where a pass does not take the network, its process dies, and whoever asked reads its last line.
    """
    program, names = load_program(source)
    module = program.module(check_guards=False)
    bound = max(LEAST_EXAMPLE, *wishes.batch_sizes)
    example = _tensors(wishes.inputs.feeds(bound, 1, wishes.longest)[0], names)
    free = _free_axes(program)
    if wishes.technique:
        module = _quantized(module, example, names, free, wishes)
    return _written(module, example, free, {"inputs": names, "batch": bound}, out)


def write_tiny(path: Path) -> None:
    """Write a program of input `x`, (1, 2, 8, 8)."""
    import torch

    nn = torch.nn
    layers = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    example = (torch.zeros(1, 2, 8, 8),)
    _written(nn.Sequential(*layers).eval(), example, ((),), {"inputs": ["x"], "batch": 1}, path)


def _tensors(feed: Any, names: Sequence[str]) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(feed[name]) for name in names)


def _free_axes(program: Any) -> tuple[tuple[int, ...], ...]:
    """For each input of a program, its axes of no fixed size."""
    given = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in given]
    return tuple(tuple(axis for axis, size in enumerate(shape) if not isinstance(size, int)) for shape in shapes)


def _exported(module: Any, example: tuple[Any, ...], free: Sequence[Sequence[int]]) -> Any:
    import torch

    axes = tuple(dict.fromkeys(places, torch.export.Dim.DYNAMIC) for places in free)
    return torch.export.export(module, example, dynamic_shapes=axes, strict=False)


def _quantized(
    module: Any, example: tuple[Any, ...], names: Sequence[str], free: Sequence[Sequence[int]], wishes: Wishes
) -> Any:
    """In 8 bits: weights alone, with activations rounded in each call, or both, in ranges of training examples."""
    quantizers = importlib.import_module("executorch.backends.xnnpack.quantizer.xnnpack_quantizer")
    pt2e = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    is_static = wishes.technique["activations"] == STATIC
    config = quantizers.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=not is_static)
    prepared = pt2e.prepare_pt2e(
        _exported(module, example, free).module(check_guards=False), quantizers.XNNPACKQuantizer().set_global(config)
    )
    for feed in wishes.inputs.feeds(1, wishes.technique["samples"]) if is_static else ():
        prepared(*_tensors(feed, names))
    if not is_static:
        prepared(*example)
    return pt2e.convert_pt2e(prepared)


def _written(
    module: Any, example: tuple[Any, ...], free: Sequence[Sequence[int]], told: dict[str, Any], out: Path
) -> Converted:
    import torch

    exir = importlib.import_module("executorch.exir")
    passes = importlib.import_module("executorch.exir.passes")
    partition = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    program = _exported(module, example, free)
    weights, fraction = _weights(program)
    said = torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)
    edge = exir.to_edge_transform_and_lower(
        program, partitioner=[partition.XnnpackPartitioner()], constant_methods={TOLD: said}
    )
    notes = _left_out(edge)
    # inputs that are planned into the program's memory would be overwritten by its run
    plan = passes.MemoryPlanningPass(alloc_graph_input=False)
    edge.to_executorch(exir.ExecutorchBackendConfig(memory_planning_pass=plan)).save(str(out))
    return Converted(out, out.read_bytes(), weights, fraction, notes)


def _left_out(edge: Any) -> tuple[str, ...]:
    """A sentence that names the operators which XNNPACK's partitioner left to other kernels; none where it took all."""
    backends = importlib.import_module("executorch.devtools.backend_debug")
    counts = backends.get_delegation_info(edge.exported_program().graph_module).delegation_by_operator
    left = {str(name): one.non_delegated for name, one in counts.items() if one.non_delegated}
    if not left:
        return ()
    named = ", ".join(f"{count} {name}" for name, count in sorted(left.items(), key=lambda one: -one[1])[:MOST_NAMED])
    return (f"XNNPACK's partitioner left to ExecuTorch's portable kernels: {named}.",)


def _weights(program: Any) -> tuple[dict[str, int], float]:
    """Bytes of a program's constants by type, and the share of its weights (two axes or more) of 8 bits or fewer."""
    sizes: Counter[str] = Counter()
    wide = small = 0
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    for spec in program.graph_signature.input_specs:
        tensor = program.state_dict.get(spec.target, program.constants.get(spec.target))
        if spec.arg.name in used and hasattr(tensor, "dtype"):
            sizes[str(tensor.dtype).rpartition(".")[2]] += tensor.numel() * tensor.element_size()
            if tensor.ndim > 1:
                wide += tensor.numel()
                small += tensor.numel() if tensor.element_size() == 1 else 0
    return dict(sizes), small / wide if wide else 0.0
