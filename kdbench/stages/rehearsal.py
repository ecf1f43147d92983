"""What a network is asked before anything is trained, so that one that could never be used costs no training."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import ModelError
from kdbench.protocols import Batch, Output, TaskDescription
from kdbench.stages._teacher import are_probabilities

REPEATED = 1e-3
"""Largest difference between two answers to the same inputs, relative to the largest logit (at least 1)."""


def check_network(network: nn.Module, batch: Batch, task: TaskDescription) -> None:
    """Ask a copy of a network in eval mode; the network and torch's random state are left as they were.

    batch: examples as the network takes them, on its device. Raises ModelError where the answer is not one tensor an
    output of the shape that the task says, is probabilities of classes, or is another one the second time.
    """
    asked = deepcopy(network).eval()
    with torch.random.fork_rng(devices=sorted({tensor.device for tensor in batch.inputs if tensor.is_cuda}, key=str)):
        with torch.no_grad():
            outputs = F.outputs_of(asked(*batch.inputs), network, len(task.outputs))
        for output, given in zip(task.outputs, outputs, strict=True):
            check_shape(network, output, given, batch)
            if output.kind == "classes":
                check_logits(network, given)
        check_repeatable(asked, batch.inputs)


def check_shape(network: object, output: Output, given: Tensor, batch: Batch) -> None:
    """Raises ModelError where an output has another shape than the task says."""
    expected = (len(batch), *output.axes)
    fits = given.dim() == len(expected) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(given.shape, expected, strict=True)
    )
    if fits:
        check_rate(network, output, given, batch)
        return
    wanted = ", ".join(map(str, expected))
    what = {"classes": "logits", "multilabel": "logits"}.get(output.kind, output.kind.replace("_", " "))
    raise ModelError(
        f"{type(network).__name__} gives shape {tuple(given.shape)}; a tensor of {what}, ({wanted}), was expected."
    )


def check_rate(network: object, output: Output, given: Tensor, batch: Batch) -> None:
    """Raises ModelError where a sequence has another number of steps than its subsampling makes of the longest."""
    places = output.places(batch.lengths) if output.kind == "sequence" else None
    if places is not None and given.shape[1] < int(places.max()):
        longest = int(batch.lengths[str(output.frames)].max())
        raise ModelError(
            f"{type(network).__name__} gives {given.shape[1]} steps of '{output.name}' for {longest} {output.frames}, "
            f"and {int(places.max())} were expected: one for every {output.subsampling} of them, rounded up. Teacher "
            "and student need the task's rate."
        )


def check_logits(network: object, rows: Tensor) -> None:
    """Raises ModelError where rows (B, classes) are probabilities: a loss that takes logits would train badly on them.

    A teacher's probabilities are no fault: their logarithms are its logits.
    """
    if are_probabilities(rows):
        raise ModelError(
            f"{type(network).__name__} gives probabilities (rows that are never negative and sum to 1) where logits "
            "are expected: the loss takes a softmax itself, and would take it twice; return what goes into the last "
            "softmax."
        )


@torch.no_grad()
def check_repeatable(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Raises ModelError where a network in eval mode answers twice the same inputs differently."""
    for first, second in zip(*(F.outputs_of(network(*inputs), network) for _ in range(2)), strict=True):
        difference = float((first - second).abs().max())
        if difference <= REPEATED * max(1.0, float(first.abs().max())):
            continue
        raise ModelError(
            f"{type(network).__name__} answers the same inputs differently each time (by up to {difference:.3g}), "
            "though it is in eval mode: something in it is always random, such as functional.dropout without "
            "training=self.training."
        )
