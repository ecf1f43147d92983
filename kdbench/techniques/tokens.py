"""Features of tokens or frames, (B, L, d), as the vectors that methods on features take. Knows no technique."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Layers, TaskDescription
from kdbench.protocols.model import TapKind

Shape = tuple[int, ...]
IN_A_ROW = ("tokens", "frames")


def kind_of(layers: Layers, path: str, shape: Shape) -> TapKind:
    """What a tapped layer gives: what its architecture says, else what its shape (without the batch axis) looks like.

    By shape alone two axes are taken for (length, width).
    """
    return layers.kind(path) or {1: "vector", 2: "tokens"}.get(len(shape), "map")  # type: ignore[return-value]


def shape_of_each(shape: Shape, kind: TapKind) -> Shape:
    """What `vectors` makes of features of that shape, without the batch axis: of tokens (L, d) each is (d,)."""
    return shape[1:] if kind in IN_A_ROW else shape


def vectors(
    pair: tuple[Tensor, Tensor],
    kinds: tuple[TapKind, TapKind],
    task: TaskDescription,
    batch: Batch,
    deal: Callable[[Tensor], Tensor],
    means: bool,
) -> tuple[Tensor, Tensor]:
    """A student's and a teacher's features, the teacher's dealt out; maps and vectors (B, ...) otherwise as they are.

    Of tokens or frames (B, L, d) padding is left out. means: whether an example's mean over its tokens counts, (B, d),
    or each token, (tokens, d), for which both networks need the same tokens; raises TechniqueError where they have not.
    """
    student, teacher = pair
    rows = [kind in IN_A_ROW for kind in kinds]
    if not any(rows):
        return student, deal(teacher)
    if means:
        own, taught = (_mean(one, task, batch) if is_row else one for one, is_row in zip(pair, rows, strict=True))
        return own, deal(taught)
    if student.shape[:2] != teacher.shape[:2] or not all(rows):
        raise TechniqueError(
            f"a tapped layer of the student gives {tuple(student.shape[1:])} an example, the teacher's "
            f"{tuple(teacher.shape[1:])}; to be matched token by token both must give as many."
        )
    real = real_tokens(student, task, batch)
    if real is None:
        return student.flatten(0, 1), deal(teacher).flatten(0, 1)
    real = real & deal(real)
    return student[real], deal(teacher)[real]


def _mean(features: Tensor, task: TaskDescription, batch: Batch) -> Tensor:
    """(B, L, d) averaged over each example's own tokens."""
    real = real_tokens(features, task, batch)
    if real is None:
        return features.mean(1)
    weights = real.to(features.dtype)[..., None]
    return (features * weights).sum(1) / weights.sum(1).clamp(min=1)


def real_tokens(features: Tensor, task: TaskDescription, batch: Batch) -> Tensor | None:
    """bool (B, L): which tokens are an example's own; None where all are.

    Where L is not the padded length of the batch (a network with strides, say), lengths shrink by the same factor.
    """
    import torch

    padded = _padded(task, batch)
    if padded is None:
        return None
    lengths, size = padded
    count = features.shape[1]
    ends = -(-lengths * count // size)
    return torch.arange(count, device=features.device) < ends.to(features.device)[:, None]


def _padded(task: TaskDescription, batch: Batch) -> tuple[Tensor, int] | None:
    """The lengths (B,) of an input's axis that varies, and the size to which it is padded."""
    for given, tensor in zip(task.inputs, batch.inputs, strict=True):
        if given.symbolic in batch.lengths:
            return batch.lengths[given.symbolic], tensor.shape[1 + given.axes.index(given.symbolic)]
    return None
