"""Losses on features that a module has transformed: factors, and fused stages; knows no such module."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "factor_transfer",
    "review",
]

REVIEW_LEVELS = (4, 2, 1)
"""Sides to which a map is pooled, as in the authors' code."""


def factor_transfer(student_factors: Tensor, teacher_factors: Tensor) -> Tensor:
    """Mean absolute difference of the two factors, each example's flattened and divided by its L2 norm.

    student_factors, teacher_factors: (B, ...) of one shape; averaged over all elements. Zero where the factors agree
    up to a positive factor. A factor of zeros stays zero.

    Source: Kim, Park, Kwak 2018, "Paraphrasing Complex Network: Network Compression via Factor Transfer", section 3,
    with p = 1. The paper's norm is a sum over the elements; the mean is that of the authors' code. RepDistiller
    averages the squares of a factor over its channels first, (B, C, H, W) to (B, H, W): give this function such maps
    to have its value.
    """
    student, teacher = F.normalize(student_factors.flatten(1)), F.normalize(teacher_factors.flatten(1))
    return F.l1_loss(student, teacher)


def review(student_features: Sequence[Tensor], teacher_features: Sequence[Tensor]) -> Tensor:
    """Hierarchical context loss: mean squared error at several sizes, summed over pairs of maps.

    student_features, teacher_features: maps (B, C_l, H_l, W_l), pair by pair of one shape. For a pair:

        (MSE(s, t) + sum_k w_k * MSE(pool_k s, pool_k t)) / (1 + sum_k w_k)

    pool_k averages over a k x k grid, for those k of 4, 2, 1 that are smaller than the map; w is 1/2 for the first of
    these, and half of the one before for each later one. Means are over all elements.

    Source: Chen et al. 2021, "Distilling Knowledge via Knowledge Review", section 3; sizes and weights as in the
    authors' code, to which the published weights belong.
    """
    pairs = zip(student_features, teacher_features, strict=True)
    return torch.stack([_hierarchical(student, teacher) for student, teacher in pairs]).sum()


def _hierarchical(student: Tensor, teacher: Tensor) -> Tensor:
    levels = [level for level in REVIEW_LEVELS if level < min(student.shape[2:])]
    pooled = [(F.adaptive_avg_pool2d(student, level), F.adaptive_avg_pool2d(teacher, level)) for level in levels]
    errors = [F.mse_loss(mine, its) for mine, its in [(student, teacher), *pooled]]
    weights = [0.5**number for number in range(len(errors))]
    return torch.stack([weight * error for weight, error in zip(weights, errors, strict=True)]).sum() / sum(weights)
