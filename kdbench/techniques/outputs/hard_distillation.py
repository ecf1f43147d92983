"""Hard distillation: the student learns the teacher's decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from kdbench.protocols import Batch, Context, Output
from kdbench.techniques.output_kinds import EVERY_KIND, SOFTENED
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

    Of a sequence the decision is the whole one, as in Kim and Rush 2016, "Sequence-Level Knowledge Distillation",
    section 3.2; there it comes from beam search, here from greedy decoding. With `shuffled` it is another example's.
    """

    kinds: ClassVar[frozenset[str]] = EVERY_KIND - {"values", "embedding"}
    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        "multilabel": "1 for each label whose logit the teacher puts above 0",
        "values": "a number is its own decision; use soft_distillation, which learns the teacher's values",
        "sequence": "the sequence that the teacher decodes to, as the label of CTC (Kim and Rush 2016)",
        "embedding": "an embedding decides nothing; use soft_distillation, which learns the teacher's",
    }
    as_a_whole: ClassVar[frozenset[str]] = frozenset({"sequence"})
    paper: ClassVar[str] = "Touvron et al. 2021, Training data-efficient image transformers (DeiT), section 4"
    label: ClassVar[str] = "hard"

    def whole(self, output: Output, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor | None:
        from kdbench import functional as F

        return F.sequence_distillation(output, student, teacher, batch) if output.kind == "sequence" else None

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        return F.hard_distillation(student, teacher)

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """The classes that the teacher decides for, (B,)."""
        return self.fitted_to(batch, ctx, lambda logits: logits.argmax(1))
