"""Outputs of any kind as rows, each the logits of one distribution. Knows outputs and batches, and no formula."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Output, TaskDescription

__all__ = [
    "decoded",
    "decodes_to",
    "in_spreads",
    "labelled_rows",
    "places",
    "row_labels",
    "row_pair",
    "rows",
    "squared_errors",
    "value_matching",
    "weighted_term",
]

Deal = Callable[[Tensor], Tensor]
"""Gives each example (B, ...) of a teacher's what it is to learn from: its own, or another's."""


def places(output: Output, given: Tensor, batch: Batch, target: Tensor | None = None) -> Tensor | None:
    """Which positions of an output count, bool (B, ...) without the axis of classes; None where all do.

    Padding does not, by the lengths of the batch. With a target those do not either where it is `output.ignore`.
    """
    real = None
    lengths = output.places(batch.lengths)
    if lengths is not None:
        axis = _varying_axis(output)
        sizes = [size for number, size in enumerate(given.shape) if number != _class_axis(output, given)]
        shape = [-1 if number == axis else 1 for number in range(len(sizes))]
        inside = torch.arange(sizes[axis], device=given.device).reshape(shape)
        ends = lengths.to(given.device).reshape(-1, *[1] * (len(sizes) - 1))
        real = (inside < ends).expand(sizes)
    if target is not None and output.ignore is not None and output.kind != "multilabel":
        counts = target != output.ignore
        real = counts if real is None else real & counts
    return real


def rows(output: Output, given: Tensor, real: Tensor | None = None) -> Tensor:
    """Logits (positions that count, K), each row those of one distribution.

    classes: as they are, (B, K). multilabel: K rows (0, z) of two classes an example, since softmax of (0, z) is the
    sigmoid of z; (B * K, 2). dense_classes, token_classes, sequence: a row a place, token, frame. real: what `places`
    gives.
    """
    if output.kind == "multilabel":
        return torch.stack([torch.zeros_like(given), given], -1).flatten(0, 1)
    last = given.movedim(1, -1) if output.kind == "dense_classes" else given
    if real is not None:
        return last[real]
    return last.flatten(0, -2) if last.dim() > 2 else last


def row_labels(output: Output, target: Tensor, real: Tensor | None = None) -> Tensor:
    """The class of each row that `rows` gives, int64 (rows,); of a multilabel row 1 where the label holds."""
    if output.kind == "multilabel":
        return target.flatten().long()
    return target.flatten() if real is None else target[real]


def labelled_rows(output: Output, given: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows (n, K) of an output and their labels (n,), where both count."""
    real = places(output, given, batch, target)
    return rows(output, given, real), row_labels(output, target, real)


def row_pair(
    output: Output, student: Tensor, teacher: Tensor, batch: Batch, deal: Deal, target: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(student's output, teacher's output dealt out, which of their positions count: see `places`), alike in shape.

    Raises TechniqueError where the teacher has other classes, or other places, tokens or frames than the student.
    """
    if output.kind in ("token_classes", "sequence"):
        student, teacher = _as_long(output, student, teacher, batch)
        target = None if target is None or output.kind == "sequence" else target[:, : student.shape[1]]
    if student.shape != teacher.shape:
        raise TechniqueError(
            f"the student gives '{output.name}' as {tuple(student.shape[1:])} an example, the teacher as "
            f"{tuple(teacher.shape[1:])}; both must be alike, place by place, for one to learn from the other."
        )
    real = places(output, student, batch, target)
    if real is not None:
        real = real & deal(real)
    return student, deal(teacher), real


def _as_long(output: Output, student: Tensor, teacher: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Both without the padding that one has beyond the other. Stored outputs are padded to the longest example only."""
    lengths = output.places(batch.lengths)
    longest = int(lengths.max()) if lengths is not None else max(student.shape[1], teacher.shape[1])
    shared = min(student.shape[1], teacher.shape[1])
    if shared < longest:
        raise TechniqueError(
            f"the student gives '{output.name}' with {student.shape[1]} places, the teacher with {teacher.shape[1]}, "
            f"and the longest example has {longest}; both must shorten their input alike."
        )
    return student[:, :shared], teacher[:, :shared]


def value_matching(output: Output, student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error to the teacher's numbers: mean over B * D of ((s - t) / scale)^2.

    student s, teacher t: (B, D), values in the targets' own unit, divided by `output.scale`; or embeddings, as they
    are. There is no temperature: a number has no distribution to soften.
    """
    return F.mse_loss(in_spreads(output, student), in_spreads(output, teacher))


def in_spreads(output: Output, values: Tensor) -> Tensor:
    """Values (B, D) in units of the training split's spread, `output.scale`."""
    return values / torch.tensor(output.scale or (1.0,), dtype=values.dtype, device=values.device)


def squared_errors(values: Tensor, targets: Tensor) -> Tensor:
    """How far each example's values are from its targets: (B,), the mean over D of (v - y)^2; both (B, D)."""
    return (values - targets).square().mean(1)


def weighted_term(task: TaskDescription, output: Output, name: str, term: Tensor) -> dict[str, Tensor]:
    """A term of one output of a task, times its `loss_weight`; of several outputs it bears the output's name too."""
    name = name if len(task.outputs) == 1 else f"{output.name} {name}"
    return {name: term if output.loss_weight == 1 else output.loss_weight * term}


def decoded(output: Output, given: Tensor, batch: Batch) -> list[Tensor]:
    """The symbols that each example of a sequence output decodes to: the highest of each frame, without repetitions and
    blanks (greedy decoding, Graves et al. 2006, section 3.2). Frames of padding do not count.
    """
    lengths = output.places(batch.lengths)
    ends = [given.shape[1]] * len(given) if lengths is None else lengths.tolist()
    found = []
    for example, end in zip(given, ends, strict=True):
        symbols = torch.unique_consecutive(example[:end].argmax(-1))
        found.append(symbols[symbols != output.blank])
    return found


def decodes_to(output: Output, given: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """Whether each example of a sequence output decodes to exactly its target: bool (B,). target: int64 (B, S)."""
    counts = batch.lengths[output.name].tolist()
    pairs = zip(decoded(output, given, batch), target, counts, strict=True)
    return torch.tensor([torch.equal(found, own[:count]) for found, own, count in pairs], device=given.device)


def _class_axis(output: Output, given: Tensor) -> int:
    return 1 if output.kind == "dense_classes" else given.dim() - 1


def _varying_axis(output: Output) -> int:
    """Which axis of the positions (batch first) varies in length."""
    if output.kind != "dense_classes":
        return 1
    return 1 + next(number for number, axis in enumerate(output.axes[1:]) if isinstance(axis, str))
