"""BatchNorm while training over the places that are each example's own; padding counts nowhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


def own_places(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) for x (B, ..., T): 1 at an example's own places, 0 behind its end."""
    return (torch.arange(x.shape[-1], device=x.device) < lengths[:, None]).to(x.dtype)


def over_own_places(norm: _BatchNorm, x: Tensor, lengths: Tensor) -> Tensor:
    """What a norm makes of x (B, C, ..., T) by the statistics of own places, which it keeps; the bias behind each end.

    A function of its own: gathering these places for torch's takes three times as long on a CPU.
    """
    places = x.to(norm.weight.dtype).movedim(1, -1)  # (B, ..., T, C): a view where x is channels_last
    mask = own_places(x, lengths).to(places.dtype).view(len(x), *[1] * (x.dim() - 3), -1).expand(places.shape[:-1])
    rows, own = places.reshape(-1, places.shape[-1]), mask.reshape(-1)
    count = own.sum()
    found, mean, variance = _Normalised.apply(rows, own, count, norm.weight, norm.bias, norm.eps)
    with torch.no_grad():
        _keep(norm, mean, variance * count / (count - 1).clamp_min(1))
    normalised: Tensor = found.view(places.shape).movedim(-1, 1).to(x.dtype)
    return normalised


def _keep(norm: _BatchNorm, mean: Tensor, unbiased: Tensor) -> None:
    """Running statistics as torch keeps them: exponential averages, or plain ones where momentum is None."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(unbiased, share)


class _Normalised(torch.autograd.Function):
    """y = weight (x - mean) / sqrt(var + eps) + bias in own rows, the bias in others; mean and var are of own rows.

    x: (N, C); own: (N,) of 1 and 0. With g the gradient of y and h the normalised x, dx in own rows is
    weight / sqrt(var + eps) (g - mean(g) - h mean(g h)), both means over own rows.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, own: Tensor, count: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = own @ x / count
        centred = (x - mean).mul_(own[:, None])
        variance = centred.square().sum(0) / count
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(centred, own, count, weight, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias, centred, weight * inverse), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        centred, own, count, weight, inverse = ctx.saved_tensors
        given = gradients[0]
        of_weight = (given * centred).sum(0) * inverse
        of_x = torch.addcmul(given - own @ given / count, centred, -inverse * of_weight / count)
        of_x = of_x.mul_(weight * inverse).mul_(own[:, None])
        return of_x, None, None, of_weight, given.sum(0), None
