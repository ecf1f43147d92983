"""Hard distillation: the student learns the teacher's decisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from kdbench.protocols import Context, Loss
from kdbench.techniques._distillation import Distillation

if TYPE_CHECKING:
    from torch import nn


class HardDistillation(Distillation):
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

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench import functional as F

        yield None, lambda batch, logits: {"hard": F.hard_distillation(logits, ctx.teacher(batch))}
