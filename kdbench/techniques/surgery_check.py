"""Comparing a network that was operated on with what it must equal, on the task's own inputs. Knows no technique."""

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.protocols import Batch

EXAMPLES = 16
"""How many examples are compared."""
TOLERANCE = 1e-3
"""Largest difference between logits that rounding explains, relative to the largest of them."""


def check_inputs(batches: Iterable[Batch]) -> tuple[Tensor, ...]:
    """The first few training inputs, on the device where the context has them."""
    (batch,) = islice(batches, 1)
    return tuple(tensor[:EXAMPLES] for tensor in batch.inputs)


@torch.no_grad()
def answers(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A network's outputs in eval mode, each (B, ...). Its modules go back to the modes that they were in."""
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters(), torch.empty(0)).device  # a fresh student is not yet where the data is
    given = F.outputs_of(network.eval()(*(tensor.to(device) for tensor in inputs)), network)
    for module, mode in modes:
        module.training = mode
    return given


def difference(expected: tuple[Tensor, ...], got: tuple[Tensor, ...]) -> float:
    """The largest difference between two networks' outputs, relative to the largest of that output; 0 where rounding.

    Infinite where the shapes differ or the answers are no numbers.
    """
    if len(got) != len(expected):
        return float("inf")
    return max(_difference(one, other) for one, other in zip(expected, got, strict=True))


def _difference(expected: Tensor, got: Tensor) -> float:
    if got.shape != expected.shape:
        return float("inf")
    largest = float(expected.abs().max())
    apart = float((expected - got).abs().max())
    if apart <= TOLERANCE * largest:
        return 0.0
    return apart / largest if apart == apart and largest else float("inf")


def check_same(expected: tuple[Tensor, ...], got: tuple[Tensor, ...], what: str) -> None:
    """Raise TechniqueError where a network does not answer as expected; `what` begins the sentence: "X is the same"."""
    apart = difference(expected, got)
    if apart:
        raise TechniqueError(
            f"{what}, but the outputs differ by {100 * apart:.2g}% of the largest; nothing was trained or measured. "
            "The network computes in a way that the technique cannot follow: leave the technique out for it."
        )
