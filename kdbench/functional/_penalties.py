"""Penalties on weights; knows neither logits nor features."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "group_penalty",
    "l1_penalty",
]


def l1_penalty(weights: Sequence[Tensor]) -> Tensor:
    """The sum of all absolute values. weights: tensors of any shape.

    Source: Tibshirani 1996, "Regression shrinkage and selection via the lasso".
    """
    return torch.stack([weight.abs().sum() for weight in weights]).sum()


def group_penalty(weights: Sequence[Tensor]) -> Tensor:
    """Sum over tensors and output channels of sqrt(n) * ||w||_2, with w the n weights of one output channel.

    weights: tensors (output channels, ...). A channel of zeros has gradient zero.

    Source: Yuan and Lin 2006, "Model selection and estimation in regression with grouped variables", equation 2.1 with
    their choice of the sqrt of the group's size; on channels of networks: Wen et al. 2016, "Learning structured
    sparsity in deep neural networks", section 3.1.
    """
    norms = [torch.linalg.vector_norm(weight.flatten(1), dim=1).sum() for weight in weights]
    sizes = [math.sqrt(weight[0].numel()) for weight in weights]
    return torch.stack([size * norm for size, norm in zip(sizes, norms, strict=True)]).sum()
