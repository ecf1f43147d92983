"""Comparing a network that was operated on with what it must equal, on the task's own inputs. Knows no technique."""

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

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
def answers(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """A network's outputs in eval mode, (B, ...). Its modules go back to the modes that they were in."""
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters(), torch.empty(0)).device  # a fresh student is not yet where the data is
    given: Tensor = network.eval()(*(tensor.to(device) for tensor in inputs))
    for module, mode in modes:
        module.training = mode
    return given


def difference(expected: Tensor, got: Tensor) -> float:
    """The largest difference between two networks' logits, relative to the largest logit expected; 0 where rounding.

    Infinite where the shapes differ or the answers are no numbers.
    """
    if got.shape != expected.shape:
        return float("inf")
    largest = float(expected.abs().max())
    apart = float((expected - got).abs().max())
    if apart <= TOLERANCE * largest:
        return 0.0
    return apart / largest if apart == apart and largest else float("inf")


def check_same(expected: Tensor, got: Tensor, what: str) -> None:
    """Raise TechniqueError where a network does not answer as expected; `what` begins the sentence: "X is the same"."""
    apart = difference(expected, got)
    if apart:
        raise TechniqueError(
            f"{what}, but the logits differ by {100 * apart:.2g}% of the largest; nothing was trained or measured. "
            "The network computes in a way that the technique cannot follow: leave the technique out for it."
        )
