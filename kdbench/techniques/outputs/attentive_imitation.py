"""Attentive imitation: the student learns the teacher's values, the more the less wrong they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.protocols import Batch, Context, Loss, Outputs
from kdbench.techniques.outputs._values import ValueDistillation

if TYPE_CHECKING:
    from torch import Tensor, nn


class AttentiveImitation(ValueDistillation):
    """Match the teacher's values, each example weighed by how near they are to its label, beside the labels.

    loss = kd_weight * mean over B of phi * e(s, t) + ce_weight * mean over B of e(s, y)
    e(a, b): mean over D of (a - b)^2; phi = 1 - e(t, y) / eta

    s, t: values of student and teacher, y: the labels, all (B, D), in units of their spread; eta: the largest of the
    teacher's errors e(t, y) over the training split less the smallest, found once before training, on examples that are
    not augmented.

    Paper: Saputra et al. 2019, "Distilling Knowledge From a Deep Pose Regressor Network", section 3.2, with its alpha
    as `ce_weight` and 1 - alpha as `kd_weight`; squared norms there are means over D here. Its second stage, on
    intermediate features, is `fitnet`. On an augmented view phi may be below 0 where the teacher is further off than
    anywhere on the split: that example then pushes away from it.
    """

    paper: ClassVar[str] = "Saputra et al. 2019, Distilling Knowledge From a Deep Pose Regressor Network, section 3.2"

    kd_weight: float = Field(0.5, ge=0)
    """Weight of the teacher's values."""
    ce_weight: float = Field(0.5, ge=0)
    """Weight of the task's own loss on the labels, the squared error."""

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench import functional as F

        ranges = self._error_ranges(ctx)

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            terms: dict[str, Tensor] = {}
            each = zip(ctx.task.outputs, outputs, ctx.teacher(batch), batch.targets, ranges, strict=True)
            for output, mine, its, target, error_range in each:
                own, taught, labels = (F.in_spreads(output, values) for values in (mine, self.dealt(its), target))
                term = F.attentive_imitation(own, taught, labels, error_range)
                terms |= F.weighted_term(ctx.task, output, "attentive", term)
            return terms

        yield None, loss

    def _error_ranges(self, ctx: Context) -> list[float]:
        """For each output, the teacher's largest error over the training split less its smallest."""
        import torch

        from kdbench import functional as F

        errors: list[list[Tensor]] = [[] for _ in ctx.task.outputs]
        for batch in ctx.train:
            each = zip(ctx.task.outputs, ctx.teacher(batch), batch.targets, errors, strict=True)
            for output, its, target, found in each:
                found.append(F.squared_errors(F.in_spreads(output, self.dealt(its)), F.in_spreads(output, target)))
        whole = [torch.cat(found) for found in errors]
        return [float(found.max() - found.min()) for found in whole]
