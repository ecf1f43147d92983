"""Soft distillation: the student learns the teacher's softened outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.protocols import Context, Loss
from kdbench.techniques._distillation import Distillation

if TYPE_CHECKING:
    from torch import nn


class SoftDistillation(Distillation):
    """Match the teacher's outputs, softened by a temperature; no labels are used.

    loss = kd_weight * T^2 * KL(softmax(t / T) || softmax(s / T)) + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K); summed over the K classes, averaged over the B examples. T above 1
    shows the student how the teacher ranks the wrong classes; T^2 keeps the gradient's size while T changes.

    Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2. It reports best
    results with a small weight on the labels as well: that is `mixed_distillation`. Here the default is soft targets
    alone, so that the two can be told apart; the divergence instead of the cross-entropy moves the loss by a
    constant, not its gradient.
    """

    paper: ClassVar[str] = "Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, section 2"

    temperature: float = Field(4.0, gt=0)
    """T; 1 leaves the outputs as they are."""

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench import functional as F

        yield (
            None,
            lambda batch, logits: {"soft": F.soft_distillation(logits, ctx.teacher(batch), self.temperature)},
        )
