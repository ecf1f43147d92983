"""Losses on the features of two networks; knows tensors only, neither layers nor the modules that match shapes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "activation_boundary",
    "alike",
    "attention_transfer",
    "flow_of_solution",
    "hint",
    "neuron_selectivity",
    "variational_information",
]

AUTHORS_SCALE = 3 / 1000
"""Factor that the authors of activation boundaries give their loss (their published code, and RepDistiller's)."""


def alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (B, C, H, W) at one size: on each axis the larger is average-pooled; vectors (B, D) stay as they are.

    Source: RepDistiller's attention transfer (distiller_zoo/AT.py) pools so.
    """
    if first.shape[2:] == second.shape[2:]:
        return first, second
    height, width = (min(sides) for sides in zip(first.shape[2:], second.shape[2:], strict=True))
    size = (height, width)
    return F.adaptive_avg_pool2d(first, size), F.adaptive_avg_pool2d(second, size)


def hint(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference over all elements: mean (s - t)^2.

    student_features s, teacher_features t: one shape, (B, ...); a regressor has matched them before.

    Source: Romero et al. 2015, "FitNets: hints for thin deep nets", section 2.2, equation 3. There it is half the
    sum over the elements of an example; the mean, which is 2 / (elements of an example) times that, is
    RepDistiller's, and the published weight of 100 belongs to it.
    """
    return F.mse_loss(student_features, teacher_features)


def attention_transfer(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
    """Difference between the attention maps of two networks: sum over layers of mean (Q(s) - Q(t))^2.

    student_maps, teacher_maps: one (B, C, H, W) a layer; channels may differ, of two sizes the larger is
    average-pooled. Q(f) is the mean over C of f^2, as a vector of H * W of L2 norm 1; the mean is over B * H * W.

    Source: Zagoruyko and Komodakis 2017, "Paying more attention to attention", section 3.1. Its equation 2 has half
    the norm of the difference, not its square; the mean square is the authors' own code and RepDistiller's. Because
    that mean divides by H * W the published weight is as large as 1000.
    """
    losses = [_attention_difference(*alike(s, t)) for s, t in zip(student_maps, teacher_maps, strict=True)]
    return torch.stack(losses).sum()


def _attention_difference(student: Tensor, teacher: Tensor) -> Tensor:
    return F.mse_loss(_attention(student), _attention(teacher))


def _attention(feature: Tensor) -> Tensor:
    return F.normalize(feature.square().mean(1).flatten(1), dim=1)


def neuron_selectivity(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
    """Squared maximum mean discrepancy between the channels of two networks, summed over layers.

    Of a layer: mean k(t, t) + mean k(s, s) - 2 mean k(s, t), with k(a, b) = (a . b)^2 over pairs of channels, each
    channel's map a vector of H * W of L2 norm 1; the means are over B and the pairs.
    student_maps, teacher_maps: one (B, C, H, W) a layer; channels may differ, of two sizes the larger is
    average-pooled. Memory is B * C * C, not B * C * C * H * W.

    Source: Huang and Wang 2017, "Like what you like: knowledge distill via neuron selectivity transfer", section 4,
    the polynomial kernel of degree 2 and offset 0, averaged over the batch. mean k(t, t) has no gradient; with it the
    term is zero where the student agrees.
    """
    losses = [_discrepancy(*alike(s, t)) for s, t in zip(student_maps, teacher_maps, strict=True)]
    return torch.stack(losses).sum()


def _discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(feature.flatten(2), dim=2) for feature in (student, teacher))
    return _kernel(t, t) + _kernel(s, s) - 2 * _kernel(s, t)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return torch.bmm(first, second.transpose(1, 2)).square().mean()


def variational_information(mean: Tensor, variance: Tensor, teacher_features: Tensor) -> Tensor:
    """Negative log-likelihood under a Gaussian: mean 0.5 * ((mean - t)^2 / variance + log variance).

    mean, teacher_features t: one shape, (B, C, ...), mean a function of the student's features; variance: (C,),
    positive, one a channel. The mean is over all elements; the constant 0.5 * log(2 pi) is left out, so the term
    may be negative. Its least value in the variance is at the mean square of the channel's error.

    Source: Ahn et al. 2019, "Variational information distillation for knowledge transfer", section 2. There it is
    summed over the elements; the mean is RepDistiller's, and the published weight of 1 belongs to it.
    """
    per_channel = variance.reshape(1, -1, *[1] * (mean.dim() - 2))
    return 0.5 * ((mean - teacher_features).square() / per_channel + per_channel.log()).mean()


def flow_of_solution(
    student_pairs: Sequence[tuple[Tensor, Tensor]], teacher_pairs: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """Difference between the Gram matrices of two networks' layers: sum over pairs of layers of mean (G(s) - G(t))^2.

    student_pairs, teacher_pairs: (first, second) maps (B, C1, H, W) and (B, C2, H', W'), equal channels in student
    and teacher. G is (B, C1, C2), the mean over places of first_i * second_j; the mean is over B * C1 * C2. Within a
    pair the larger map is average-pooled.

    Source: Yim et al. 2017, "A gift from knowledge distillation", sections 3.2 and 3.3. There the squares are summed
    over C1 * C2 and the larger map is max-pooled; mean and average pooling are RepDistiller's.
    """
    losses = [F.mse_loss(_flow(*s), _flow(*t)) for s, t in zip(student_pairs, teacher_pairs, strict=True)]
    return torch.stack(losses).sum()


def _flow(first: Tensor, second: Tensor) -> Tensor:
    first, second = (feature.flatten(2) for feature in alike(first, second))
    return torch.bmm(first, second.transpose(1, 2)) / first.shape[2]


def activation_boundary(
    student_preactivations: Sequence[Tensor], teacher_preactivations: Sequence[Tensor], margin: float = 1.0
) -> Tensor:
    """How far the student's neurons are from being on where the teacher's are, and off where they are off.

    sum over layers l = 1..L of 2^(l - L) * 3 / (1000 * B) * sum over elements of
    max(0, s + margin)^2 where t <= 0, max(0, margin - s)^2 where t > 0.

    student_preactivations s, teacher_preactivations t: one (B, ...) a layer, of one shape, from input to output: what
    goes into the activation. So the last layer counts most. Zero once every neuron is beyond the margin on the
    teacher's side; how large t is does not matter.

    Source: Heo et al. 2019, "Knowledge transfer via distillation of activation boundaries formed by hidden neurons",
    the alternative loss with margin. The paper sums over the neurons of one layer; the mean over B, the factors of
    the layers and 3 / 1000 are the authors' code and RepDistiller's. They are inside, so that the term as it stands
    is the one that the published weight of 1 belongs to.
    """
    losses = [_crossings(s, t, margin) for s, t in zip(student_preactivations, teacher_preactivations, strict=True)]
    factors = [AUTHORS_SCALE * 2.0 ** (layer - len(losses)) for layer in range(1, len(losses) + 1)]
    return torch.stack([factor * loss for factor, loss in zip(factors, losses, strict=True)]).sum()


def _crossings(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    wrong_by = torch.where(teacher > 0, margin - student, margin + student).relu()
    return wrong_by.square().sum() / len(student)
