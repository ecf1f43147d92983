"""Features of tokens or frames, (B, L, d), as the vectors that methods on features take. Knows no technique."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Layers, TaskDescription
from kdbench.protocols.model import TapKind

Shape = tuple[int, ...]
Counts = Literal["places", "examples", "maps"]
"""What a method compares: each place by itself, examples as a whole, or maps with all their places."""
IN_A_ROW = ("tokens", "frames")


def kind_of(layers: Layers, path: str, shape: Shape) -> TapKind:
    """What a tapped layer gives: what its architecture says, else what its shape (without the batch axis) looks like.

    By shape alone two axes are taken for (length, width).
    """
    return layers.kind(path) or {1: "vector", 2: "tokens"}.get(len(shape), "map")  # type: ignore[return-value]


def shape_of_each(shape: Shape, kind: TapKind, task: TaskDescription, counts: Counts) -> Shape:
    """What `vectors` makes of features of that shape, without the batch axis: of tokens (L, d) each is (d,)."""
    if kind != "time_map":
        return shape[1:] if kind in IN_A_ROW else shape
    shape = (shape[0], 1, shape[1]) if len(shape) == 2 else shape
    return shape if counts == "maps" or not _varies(task) else (*shape[:2], 1)


def vectors(
    pair: tuple[Tensor, Tensor],
    kinds: tuple[TapKind, TapKind],
    task: TaskDescription,
    batch: Batch,
    deal: Callable[[Tensor], Tensor],
    counts: Counts,
) -> tuple[Tensor, Tensor]:
    """A student's and a teacher's features, the teacher's dealt out; maps and vectors (B, ...) otherwise as they are.

    Padding is left out of tokens or frames (B, L, d), and of maps over time (B, C, bands, T) where lengths vary. Of
    such maps (B, C, T) has one band. Where places count, each is an example: (tokens, d) or (frames, C, bands, 1), for
    which both networks need the same; raises TechniqueError where they have not. Where examples count, each one's mean
    over its own places is taken, (B, d).
    """
    student, teacher = (_as_map(one) if kind == "time_map" else one for one, kind in zip(pair, kinds, strict=True))
    timed = [kind in IN_A_ROW or (kind == "time_map" and _varies(task)) for kind in kinds]
    if not any(timed) or counts == "maps":
        return student, deal(teacher)
    own, taught = (_in_steps(one, kind) for one, kind in zip((student, teacher), kinds, strict=True))
    if counts == "examples":
        both = zip((own, taught), timed, strict=True)
        mine, its = (_mean(one, task, batch).flatten(1) if is_timed else one for one, is_timed in both)
        return mine, deal(its)
    if own.shape[:2] != taught.shape[:2] or not all(timed):
        raise TechniqueError(
            f"a tapped layer of the student gives {tuple(student.shape[1:])} an example, the teacher's "
            f"{tuple(teacher.shape[1:])}; to be matched place by place both must give as many."
        )
    real = real_tokens(own, task, batch)
    chosen = [each.flatten(0, 1) for each in (own, deal(taught))]
    if real is not None:
        chosen = [each[(real & deal(real)).flatten()] for each in chosen]
    mine, its = (each.contiguous()[..., None] if each.dim() == 3 else each for each in chosen)
    return mine, its


def own_lengths(features: Tensor, task: TaskDescription, batch: Batch) -> Tensor | None:
    """How many places along the last axis of a map over time are each example's own, (B,); None where all are."""
    real = real_tokens(features.movedim(-1, 1), task, batch)
    return None if real is None else real.sum(1)


def _varies(task: TaskDescription) -> bool:
    return any(one.symbolic for one in task.inputs)


def _as_map(features: Tensor) -> Tensor:
    """(B, C, T) as (B, C, 1, T); a map with bands as it is."""
    return features.unsqueeze(2) if features.dim() == 3 else features


def _in_steps(features: Tensor, kind: TapKind) -> Tensor:
    """A map over time (B, C, bands, T) as (B, T, C, bands); tokens (B, L, d) as they are."""
    return features.movedim(-1, 1) if kind == "time_map" else features


def _mean(features: Tensor, task: TaskDescription, batch: Batch) -> Tensor:
    """(B, L, ...) averaged over each example's own places."""
    real = real_tokens(features, task, batch)
    if real is None:
        return features.mean(1)
    weights = real.to(features.dtype).view(*real.shape, *[1] * (features.dim() - 2))
    return (features * weights).sum(1) / weights.sum(1).clamp(min=1)


def real_tokens(features: Tensor, task: TaskDescription, batch: Batch) -> Tensor | None:
    """bool (B, L): which places of (B, L, ...) are an example's own; None where all are.

    Where L is not the padded length of the batch (a network with strides, say), lengths shrink as that does: of
    ceil(n / stride) places, stride is the batch's length over L, rounded up.
    """
    import torch

    padded = _padded(task, batch)
    if padded is None:
        return None
    lengths, size = padded
    count = features.shape[1]
    ends = -(-lengths // -(-size // count))
    return torch.arange(count, device=features.device) < ends.to(features.device)[:, None]


def _padded(task: TaskDescription, batch: Batch) -> tuple[Tensor, int] | None:
    """The lengths (B,) of an input's axis that varies, and the size to which it is padded."""
    for given, tensor in zip(task.inputs, batch.inputs, strict=True):
        if given.symbolic in batch.lengths:
            return batch.lengths[given.symbolic], tensor.shape[1 + given.axes.index(given.symbolic)]
    return None
