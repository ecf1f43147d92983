"""Teacher-bounded regression: the student learns the labels, and is pressed where the teacher is nearer to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.protocols import Batch, Context, Loss, Outputs
from kdbench.techniques.outputs._values import ValueDistillation

if TYPE_CHECKING:
    from torch import Tensor, nn


class TeacherBounded(ValueDistillation):
    """Learn the labels of values; an example counts more until the student is as near to its label as the teacher.

    loss = kd_weight * (smooth L1(s, y) + bound_weight * L_b) + ce_weight * mean (s - y)^2
    L_b: mean over the B examples of e_s where e_s + margin > e_t, else 0; e: mean over D of the squared error

    s, t: values of student and teacher, y: the labels, all (B, D), in units of their spread. The teacher is a bound,
    never a target, so what it is wrong about is not learnt. The labels are part of the term: `ce_weight`, the task's
    own loss on them, is 0 by default.

    Paper: Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation", section 3.3,
    where it is the loss on boxes beside others, and sums over their D = 4 coordinates where this takes means.
    """

    paper: ClassVar[str] = (
        "Chen et al. 2017, Learning Efficient Object Detection Models with Knowledge Distillation, section 3.3"
    )

    bound_weight: float = Field(0.5, gt=0)
    """Weight of the part beyond the bound, the paper's nu; 0.5 there."""
    margin: float = Field(0.0, ge=0)
    """By how much of squared error the student must be nearer than the teacher to be left alone, the paper's m."""

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench import functional as F

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            terms: dict[str, Tensor] = {}
            each = zip(ctx.task.outputs, outputs, ctx.teacher(batch), batch.targets, strict=True)
            for output, mine, its, target in each:
                own, taught, labels = (F.in_spreads(output, values) for values in (mine, self.dealt(its), target))
                bounded = F.teacher_bounded(own, taught, labels, self.bound_weight, self.margin)
                terms |= F.weighted_term(ctx.task, output, "bounded", bounded)
            return terms

        yield None, loss
