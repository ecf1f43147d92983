"""Logit matching: the student learns the teacher's logits themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from kdbench.protocols import Batch, Context, Output
from kdbench.techniques.output_kinds import SOFTENED
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class LogitMatching(OutputDistillation):
    """Match the teacher's logits, before any softmax; no labels are used.

    loss = kd_weight * mean over B * K of (s - t)^2 + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K). What `soft_distillation` tends to at high temperatures, but with no
    freedom left in the logits' offset. Ranks of the unlikely classes count as much as the likely one's.

    Paper: Ba and Caruana 2014, "Do Deep Nets Really Need to be Deep?", section 2.2. Where we differ: the paper halves
    the sum over classes, so that its loss is K / 2 times this one (here it is the mean over all elements, as in
    the field's code), and it may standardize the teacher's logits over the training set, which we do not.
    """

    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        "multilabel": "on the logits of the labels",
        "values": "squared error to the teacher's values, in units of their spread",
        "sequence": "squared error of each frame's probabilities, padding left out; equal frame rates are needed",
        "embedding": "squared error to the teacher's embedding",
    }
    paper: ClassVar[str] = "Ba and Caruana 2014, Do Deep Nets Really Need to be Deep?, section 2.2"
    label: ClassVar[str] = "logits"

    def rows(self, output: Output, given: Tensor, real: Tensor | None) -> Tensor:
        if output.kind == "multilabel":
            return given.reshape(-1, 1)
        rows = super().rows(output, given, real)
        return rows.softmax(1) if output.kind == "sequence" else rows

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.logit_matching(student, teacher)

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """The logits themselves, (B, K)."""
        return self.fitted_to(batch, ctx, lambda logits: logits)

    def no_targets(self) -> str | None:
        if self.ce_weight > 0 and self.kd_weight > 0:
            return "logits and labels have no mean to be fitted to; leave 'ce_weight' out."
        return super().no_targets()
