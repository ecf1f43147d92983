"""Several teachers: the student learns the mean of their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, Loss, Output, Outputs
from kdbench.techniques.distillation import Distillation
from kdbench.techniques.output_kinds import SOFTENED

if TYPE_CHECKING:
    from torch import Tensor, nn


class MultiTeacher(Distillation):
    """Match the mean of several teachers' outputs, softened by a temperature; no labels are used.

    loss = kd_weight * T^2 * KL(q || softmax(s / T)) + ce_weight * CE(s, labels)

    of: probabilities   q = sum_k w_k softmax(t_k / T)      (the arithmetic mean of what the teachers say)
    of: logits          q = softmax(sum_k w_k t_k / T)      (the geometric mean, brought to sum 1)

    s, t_k: logits of the student and of teacher k, (B, K); w_k: the teachers' weights, of sum 1. Summed over the K
    classes, averaged over the B examples. `teacher:` of the case (or of the suite) lists the teachers.

    Paper: You et al. 2017, "Learning from Multiple Teacher Networks", the mean of softened outputs; its second part, in
    which teachers vote on how intermediate features are ordered, is left out. Hinton, Vinyals, Dean 2015, section 1,
    names both means for an ensemble as teacher. Teachers of equal weight are the papers'; the weights are ours. The
    divergence instead of the cross-entropy moves the loss by a constant, not its gradient.
    """

    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        "values": "squared error to the teachers' mean, in units of the values' spread; no temperature",
        "embedding": "squared error to the mean of the teachers' embeddings; no temperature",
    }
    least_teachers: ClassVar[int] = 2
    paper: ClassVar[str] = "You et al. 2017, Learning from Multiple Teacher Networks"

    of: Literal["probabilities", "logits"] = "probabilities"
    """Whether the teachers' logits or their softened outputs are averaged."""
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """A weight for each teacher, in their order, divided by their sum. By default all are equal."""
    temperature: float = Field(4.0, gt=0)
    """T; 1 leaves the outputs as they are."""

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        """Raises TechniqueError for fewer than two teachers, or weights of another number."""
        from kdbench import functional as F

        shares = self._shares(ctx.teacher_count)
        soft = partial(F.soft_distillation, temperature=self.temperature)

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            taught = zip(*(ctx.teacher(batch, number) for number in range(len(shares))), strict=True)
            pairs = zip(ctx.task.outputs, taught, strict=True)
            together = tuple(self._together(output, each, shares) for output, each in pairs)
            return self.matched("soft", ctx.task, batch, outputs, together, soft)

        yield None, loss

    def _together(self, output: Output, taught: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """The teachers' mean of one output, in its shape. Raises TechniqueError where theirs differ."""
        import torch

        if len({tuple(each.shape) for each in taught}) > 1:
            shapes = ", ".join(str(tuple(each.shape[1:])) for each in taught)
            raise TechniqueError(f"the teachers give '{output.name}' in shapes that differ ({shapes}); take others.")
        if output.kind in ("values", "embedding"):
            return combined(taught, shares, "logits", 1.0)
        if output.kind == "multilabel":
            pairs = [torch.stack([torch.zeros_like(each), each], 2) for each in taught]
            both = combined(pairs, shares, self.of, self.temperature, 2)
            return both[..., 1] - both[..., 0]
        axis = 2 if output.kind in ("token_classes", "sequence") else 1
        return combined(taught, shares, self.of, self.temperature, axis)

    def _shares(self, teacher_count: int) -> list[float]:
        if teacher_count < 2:
            raise TechniqueError(
                f"multi_teacher learns from two teachers or more, the case has {teacher_count}; "
                "list them under 'teacher', or use soft_distillation."
            )
        weights = self.weights or (1.0,) * teacher_count
        if len(weights) != teacher_count:
            raise TechniqueError(
                f"multi_teacher has {len(weights)} weights for {teacher_count} teachers; write one for each."
            )
        return [weight / sum(weights) for weight in weights]


def combined(taught: Sequence[Tensor], shares: Sequence[float], of: str, temperature: float, axis: int = 1) -> Tensor:
    """Logits (B, K) whose softmax at T = temperature is the teachers' mean.

    taught: logits of each teacher, (B, K), or of any shape with the K classes along `axis`; shares: their weights, of
    sum 1. The mean of probabilities becomes
    logits as T * log q.
    """
    import torch

    stacked = torch.stack(list(taught))
    weights = torch.tensor(shares, dtype=stacked.dtype, device=stacked.device)
    weights = weights.reshape(-1, *[1] * (stacked.dim() - 1))
    if of == "logits":
        return (weights * stacked).sum(0)
    logarithms = torch.log_softmax(stacked / temperature, dim=axis + 1) + weights.log()
    return temperature * torch.logsumexp(logarithms, dim=0)
