"""Label smoothing: the control that softens targets without a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context, Effect, Outputs, Technique
from kdbench.techniques.output_kinds import EVERY_KIND, ON_LABELS

if TYPE_CHECKING:
    from torch import Tensor, nn


class LabelSmoothing(Technique):
    """Train on targets of 1 - smoothing for the label and the rest spread over all classes; no teacher is used.

    loss = CE(s, (1 - smoothing) * one_hot(label) + smoothing / K)

    s: logits, (B, K); averaged over the B examples. A control: what soft distillation gains beyond this comes from
    what the teacher says, not from targets being soft. `smoothing: 0` is `from-scratch` to the bit.

    Paper: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7. As there, the
    label's own class gets its part of the shared mass; code bases that share it among the other K - 1 classes alone
    smooth K / (K - 1) times more for the same number.
    """

    paper: ClassVar[str] = "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, section 7"
    kinds: ClassVar[frozenset[str]] = EVERY_KIND - {"values", "sequence", "embedding"}
    by_kind: ClassVar[Mapping[str, str]] = {
        **ON_LABELS,
        "multilabel": "each label is a distribution over two classes, and gets half of its mass back",
    }
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    effects: ClassVar[frozenset[Effect]] = frozenset({"retraining"})

    smoothing: float = Field(0.1, ge=0, lt=1)
    """The mass that all K classes share; 0.1 in the paper."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        import torch.nn.functional as nnf

        from kdbench import functional as F

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            terms: dict[str, Tensor] = {}
            for output, given, target in zip(ctx.task.outputs, outputs, batch.targets, strict=True):
                own, labels = F.labelled_rows(output, given, target, batch)
                smoothed = nnf.cross_entropy(own, labels, label_smoothing=self.smoothing)
                terms |= F.weighted_term(ctx.task, output, "smoothed_ce", smoothed)
            return terms

        return ctx.fit(model, loss)
