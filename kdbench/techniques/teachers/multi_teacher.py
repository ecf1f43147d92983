"""Several teachers: the student learns the mean of their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, Loss
from kdbench.techniques.distillation import Distillation

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

        def together(batch: Batch) -> Tensor:
            taught = [ctx.teacher(batch, number)[0] for number in range(len(shares))]
            return combined(taught, shares, self.of, self.temperature)

        yield (
            None,
            lambda batch, outputs: {
                "soft": F.soft_distillation(outputs[0], self.dealt(together(batch)), self.temperature)
            },
        )

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


def combined(taught: Sequence[Tensor], shares: Sequence[float], of: str, temperature: float) -> Tensor:
    """Logits (B, K) whose softmax at T = temperature is the teachers' mean.

    taught: logits of each teacher, (B, K); shares: their weights, of sum 1. The mean of probabilities becomes
    logits as T * log q.
    """
    import torch

    stacked = torch.stack(list(taught))
    weights = torch.tensor(shares, dtype=stacked.dtype, device=stacked.device)[:, None, None]
    if of == "logits":
        return (weights * stacked).sum(0)
    logarithms = torch.log_softmax(stacked / temperature, dim=2) + weights.log()
    return temperature * torch.logsumexp(logarithms, dim=0)
