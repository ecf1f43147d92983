"""The criteria of structured pruning: a number for the importance of each channel. Knows no technique."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench import functional as F
from kdbench.protocols import Batch, TaskDescription
from kdbench.streams import torch_seed
from kdbench.techniques.pruning._coupling import PRUNABLE, Coupled, Member, Traced, depthwise

Score = Callable[[Coupled], Tensor | None]
"""From a set of coupled channels to one number a channel, (C,): the smallest go first. None: it cannot be ranked."""
Part = Callable[[Member], Tensor | None]
"""From a member to one number for each index along its side. None: it does not count."""


def score(criterion: str, traced: Traced, batches: Iterable[Batch], task: TaskDescription, seed: int) -> Score:
    """The criterion of that name for a network; only `taylor` uses the batches, and only `random` the seed."""
    if criterion == "random":
        generator = torch.Generator().manual_seed(torch_seed("channels at random", seed))
        return lambda channels: torch.rand(channels.width, generator=generator)
    if criterion == "batchnorm_scale":
        return _mean_of(_scale)
    if criterion == "taylor":
        return _mean_of(_taylor(traced, batches, task))
    return _relative(_mean_of(_magnitude({"l1": 1, "l2": 2}[criterion])))


def _mean_of(part: Part) -> Score:
    """The mean of a channel's numbers over the members that count."""

    @torch.no_grad()
    def mean(channels: Coupled) -> Tensor | None:
        found = [(member, value) for member in channels.members if (value := part(member)) is not None]
        if not found:
            return None
        total = torch.zeros(channels.width)
        for member, value in found:
            total.scatter_add_(0, member.channels, value.cpu().float()[member.places])
        return total / len(found)

    return mean


def _relative(found: Score) -> Score:
    """Divide scores by the set's own mean, so that layers with large and small weights can be ranked together."""

    def relative(channels: Coupled) -> Tensor | None:
        value = found(channels)
        return None if value is None else value / value.mean()

    return relative


def _magnitude(power: int) -> Part:
    """sum |w|^power over a channel's weights in each layer that writes or reads it, and in its normalisation."""

    def magnitude(member: Member) -> Tensor | None:
        if not _has_weight(member):
            return None
        return _along(member, lambda rows: rows.abs().pow(power).sum(1), member.layer.weight)

    return magnitude


def _scale(member: Member) -> Tensor | None:
    """|gamma| of BatchNorm."""
    normed = isinstance(member.layer, _BatchNorm) and member.layer.affine
    return member.layer.weight.abs() if normed else None


def _taylor(traced: Traced, batches: Iterable[Batch], task: TaskDescription) -> Part:
    """The mean over batches of (sum of gradient * weight)^2 over a channel's weights in a layer."""
    members = {(m.layer, m.side): m for channels in traced.sets for m in channels.members if _has_weight(m)}
    sums: dict[Any, Tensor | float] = dict.fromkeys(members, 0.0)
    count = 0
    with torch.enable_grad():
        for batch in batches:
            count += 1
            traced.model.zero_grad()
            outputs = F.outputs_of(traced.model(*batch.inputs), traced.model, len(task.outputs))
            torch.stack(list(F.labels_loss(task, batch, outputs).values())).sum().backward()  # type: ignore[no-untyped-call]
            for key, member in members.items():
                moved = (member.layer.weight * member.layer.weight.grad).detach()
                sums[key] = sums[key] + _along(member, lambda rows: rows.sum(1).square(), moved)
    traced.model.zero_grad()

    def change(member: Member) -> Tensor | None:
        found = sums.get((member.layer, member.side))
        return found / count if isinstance(found, Tensor) else None

    return change


def _has_weight(member: Member) -> bool:
    """Depthwise kernels and loose parameters never count: they scale a channel that others write and read."""
    if member.side == "norm":
        return member.layer.weight is not None
    return isinstance(member.layer, PRUNABLE) and not depthwise(member.layer)


def _along(member: Member, reduce: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """`reduce` ((n, weights of each) -> (n,)) over values of the weight's shape, along the member's side."""
    if member.side == "norm":
        return reduce(values[:, None])
    if member.side == "out":
        return reduce(values.flatten(1))
    found = reduce(values.transpose(0, 1).flatten(1))
    return found if isinstance(member.layer, nn.Linear) else found.repeat(member.layer.groups)
