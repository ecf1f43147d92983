"""A network is asked before it is trained, so that one that could never be exported costs no training."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from kdbench.errors import ModelError

REPEATED = 1e-3
"""Largest difference between two answers to the same inputs, relative to the largest logit (at least 1)."""


def rehearse(network: nn.Module, example: tuple[Tensor, ...], class_count: int) -> None:
    """Ask a copy of a network in eval mode; the network and torch's random state are left as they were.

    example: inputs as the network takes them, on its device. Raises ModelError where the answer is no tensor of logits,
    (B, classes), or is another one the second time.
    """
    asked = deepcopy(network).eval()
    with torch.random.fork_rng(devices=sorted({tensor.device for tensor in example if tensor.is_cuda}, key=str)):
        with torch.no_grad():
            answer = asked(*example)
        expected = (len(example[0]), class_count)
        if not isinstance(answer, Tensor) or tuple(answer.shape) != expected:
            got = f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
            raise ModelError(f"{type(network).__name__} gives {got}; a tensor of logits, {expected}, was expected.")
        check_repeatable(asked, example)


@torch.no_grad()
def check_repeatable(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Raises ModelError where a network in eval mode answers twice the same inputs differently."""
    first, second = network(*inputs), network(*inputs)
    difference = float((first - second).abs().max())
    if difference > REPEATED * max(1.0, float(first.abs().max())):
        raise ModelError(
            f"{type(network).__name__} answers the same inputs differently each time (by up to {difference:.3g}), "
            "though it is in eval mode: something in it is always random, such as functional.dropout without "
            "training=self.training."
        )
