"""Hard distillation: the student learns the teacher's decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.protocols import Batch, Context
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class HardDistillation(OutputDistillation):
    """Match the class that the teacher decides for, as if it were the label.

    loss = kd_weight * CE(s, argmax t) + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K); averaged over the B examples. The teacher sees the same augmented
    inputs as the student, so its decision may change from one view of an example to the next.

    Paper: Touvron et al. 2021, "Training data-efficient image transformers & distillation through attention" (DeiT),
    section 4. There the decision and the label get a weight of 1/2 each, and in the best variant a head of its own;
    here the default is the decision alone, on the student's only head (`kd_weight: 0.5, ce_weight: 0.5` is the
    paper's equation 3).
    """

    paper: ClassVar[str] = "Touvron et al. 2021, Training data-efficient image transformers (DeiT), section 4"
    label: ClassVar[str] = "hard"

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.hard_distillation(student, teacher)

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """The classes that the teacher decides for, (B,)."""
        return self.fitted_to(batch, ctx, lambda logits: logits.argmax(1))
