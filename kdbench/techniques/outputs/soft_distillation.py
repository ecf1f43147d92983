"""Soft distillation: the student learns the teacher's softened outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class SoftDistillation(OutputDistillation):
    """Match the teacher's outputs, softened by a temperature; no labels are used.

    loss = kd_weight * T^2 * KL(softmax(t / T) || softmax(s / T)) + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K); summed over the K classes, averaged over the B examples. T above 1
    shows the student how the teacher ranks the wrong classes; T^2 keeps the gradient's size while T changes.

    `divergence` puts something else in the place of KL: `cross_entropy` trains the same student (its gradient is
    KL's), `mean_squared_error` on the softened probabilities trains another one, with a gradient that is about K^2 / 2
    times smaller and vanishes where the student is sure (`kdbench.functional.probability_matching`).

    Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2. It reports best
    results with a small weight on the labels as well: that is `mixed_distillation`. Here the default is soft targets
    alone, so that the two can be told apart; the divergence instead of the cross-entropy moves the loss by a
    constant, not its gradient.
    """

    paper: ClassVar[str] = "Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, section 2"
    label: ClassVar[str] = "soft"

    temperature: float = Field(4.0, gt=0)
    """T; 1 leaves the outputs as they are."""
    divergence: Literal["kl", "cross_entropy", "mean_squared_error"] = "kl"
    """The divergence between the softened outputs; each choice carries T^2."""

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        measures = {
            "kl": F.soft_distillation,
            "cross_entropy": F.soft_cross_entropy,
            "mean_squared_error": F.probability_matching,
        }
        return measures[self.divergence](student, teacher, self.temperature)

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """softmax(t / T), (B, K); T^2 has no part in it, as nothing is softened on the student's side."""
        return self.fitted_to(batch, ctx, lambda logits: (logits / self.temperature).softmax(1))
