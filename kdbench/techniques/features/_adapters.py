"""Adapters: modules trained beside the student that bring its features into the teacher's shape. Knows no formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.errors import TechniqueError

Shape = tuple[int, ...]
"""The shape of a feature without the batch axis: (C, H, W) for a map, (D,) for a vector."""
LEAST_VARIANCE = 1e-5
"""Added to a variance to keep it from 0; Ahn et al. 2019 name no value, this is RepDistiller's."""


class Each(nn.ModuleList):
    """One adapter a layer: a list of features in, a list out."""

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [adapter(feature) for adapter, feature in zip(self, features, strict=True)]


class Norm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over maps or vectors, that also takes a last batch with a single value a channel.

    Such a batch has no variance; it is normalised by the running statistics and leaves them as they are.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if input.numel() > input.shape[1]:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class Gaussian(nn.Module):
    """A Gaussian over the teacher's features, predicted from the student's: a mean each, and one variance a channel.

    The mean is three pointwise maps with ReLU between them; the variance is softplus(raw) + 1e-5, raw trained.
    """

    def __init__(self, student: Shape, teacher: Shape, initial_variance: float) -> None:
        super().__init__()
        _same_kind(student, teacher)
        widths = [student[0], teacher[0], teacher[0], teacher[0]]
        first, second, third = (pointwise(*pair, student, bias=False) for pair in pairwise(widths))
        self.mean = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        self.raw = nn.Parameter(torch.full((teacher[0],), math.log(math.expm1(initial_variance - LEAST_VARIANCE))))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(feature), F.softplus(self.raw) + LEAST_VARIANCE


def pointwise(before: int, after: int, shape: Shape, bias: bool = True) -> nn.Module:
    """A linear map of the channels alone: a 1x1 convolution for maps, a linear layer for vectors of that shape."""
    if len(shape) == 1:
        return nn.Linear(before, after, bias=bias)
    return nn.Conv2d(before, after, 1, bias=bias)


def regressor(student: Shape, teacher: Shape, norm: bool = True, relu: bool = True) -> nn.Sequential:
    """Map features of the student's shape to the teacher's: convolution (or linear layer), BatchNorm, ReLU.

    Maps of one size meet by a 1x1 convolution. Where the student's is twice as large it is a 3x3 one of stride 2, where
    it is half as large a transposed 4x4 one of stride 2, both as in RepDistiller. Between other sizes the student's
    map is first averaged over (or repeated to) the teacher's size; RepDistiller has an unpadded convolution there,
    whose kernel grows with the difference.

    Raises TechniqueError where one side is a map and the other a vector, or either is neither.
    """
    _same_kind(student, teacher)
    modules = _to_size(student, teacher)
    if norm:
        modules.append(Norm(teacher[0]))
    if relu:
        modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def _to_size(student: Shape, teacher: Shape) -> list[nn.Module]:
    before, after = student[0], teacher[0]
    if student[1:] == teacher[1:]:
        return [pointwise(before, after, student)]
    if student[1:] == tuple(2 * side for side in teacher[1:]):
        return [nn.Conv2d(before, after, 3, stride=2, padding=1)]
    if teacher[1:] == tuple(2 * side for side in student[1:]):
        return [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return [nn.AdaptiveAvgPool2d(teacher[1:]), pointwise(before, after, student)]


def _same_kind(student: Shape, teacher: Shape) -> None:
    if len(student) != len(teacher) or len(student) not in (1, 3):
        raise TechniqueError(
            f"no adapter leads from the student's features of shape {student} to the teacher's of shape {teacher}; "
            "tap two layers that both give maps (C, H, W) or both vectors (D,)."
        )
