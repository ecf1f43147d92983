"""The contract test of models."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from kdbench import functional as F
from kdbench.protocols import Input, Model, TaskDescription
from kdbench.stages.export import parity, to_onnx
from kdbench.stages.names import ONNX_FILE
from kdbench.testing.parts import check_part

OPSET = 20


def check_model(model: Model, task: TaskDescription) -> None:
    """A model builds for a task, gives what its outputs have at any batch, depends on the seed only, and exports."""
    check_part(model)
    name = type(model).__name__
    inputs = _random_inputs(task, 5)
    torch.manual_seed(0)
    network = model.build(task).eval()
    torch.manual_seed(0)
    again = model.build(task).eval()
    with torch.inference_mode():
        outputs, repeated, alone = (
            F.outputs_of(answers, network, len(task.outputs))
            for answers in (network(*inputs), again(*inputs), network(*(tensor[:1] for tensor in inputs)))
        )
    for output, given, same, first in zip(task.outputs, outputs, repeated, alone, strict=True):
        expected = (5, *output.axes)
        fits = given.dim() == len(expected) and all(
            isinstance(wanted, str) or size == wanted for size, wanted in zip(given.shape, expected, strict=True)
        )
        assert fits, f"{name} gives {tuple(given.shape)}, not {expected}."
        assert torch.equal(given, same), f"{name} has other weights for the same seed."
        # relative: before training, features grow with every residual block (resnet110: logits of 2e8)
        rounding = 1e-4 * max(1.0, float(given.abs().max()))
        assert torch.allclose(first, given[:1], atol=rounding), f"{name} answers an example differently in a batch."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ONNX_FILE
        to_onnx(network, tuple(tensor[:2] for tensor in inputs), task, path, OPSET)
        parity(network, path, task, inputs)


def _random_inputs(task: TaskDescription, count: int) -> tuple[Tensor, ...]:
    """Normal numbers, ids below `values`, masks and lengths of examples without padding; axes at their median."""
    generator = torch.Generator().manual_seed(0)
    shapes = zip(task.inputs, task.input_shapes, strict=True)
    return tuple(_random_input(one, task, (count, *shape), generator) for one, shape in shapes)


def _random_input(one: Input, task: TaskDescription, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if one.role == "mask":
        made = torch.ones(shape)
    elif one.role == "lengths":
        made = torch.full(shape, task.axis(one.covers or "").median)
    elif one.dtype == "int64":
        made = torch.randint(one.values or 2, shape, generator=generator)
    else:
        made = torch.randn(shape, generator=generator)
    return made.long() if one.dtype == "int64" else made.float()
