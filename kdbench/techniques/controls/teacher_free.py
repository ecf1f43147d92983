"""Teacher-free distillation: the control whose teacher is a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context, Effect, Outputs, Technique
from kdbench.techniques.output_kinds import EVERY_KIND, ON_LABELS

if TYPE_CHECKING:
    from torch import Tensor, nn


class TeacherFree(Technique):
    """Learn the labels and a virtual teacher that is always right and finds the wrong classes equally wrong.

    loss = ce_weight * CE(s, labels) + kd_weight * KL(softmax(u / T) || softmax(s))

    s: logits, (B, K); u: (B, K), correct_probability at the label and the rest shared by the other K - 1 classes;
    summed over classes, averaged over the B examples. A control: what soft distillation gains beyond this comes from
    how a real teacher ranks the wrong classes.

    Paper: Yuan et al. 2020, "Revisiting Knowledge Distillation via Label Smoothing Regularization", section 5, Tf-KD by
    regularization. How u is softened, that s is not, and the defaults (those for ResNet18 on CIFAR-100: alpha 0.1,
    T 20, 0.99) are the authors' code's. There the divergence is averaged over B * K and multiplied by 100, which is
    the mean over examples for 100 classes. Other networks have other values there, such as alpha 0.95, T 40 and no
    multiplier for MobileNetV2: `ce_weight: 0.05, kd_weight: 0.0095, temperature: 40` here.
    """

    paper: ClassVar[str] = "Yuan et al. 2020, Revisiting Knowledge Distillation via Label Smoothing, section 5"
    kinds: ClassVar[frozenset[str]] = EVERY_KIND - {"values", "sequence", "embedding"}
    by_kind: ClassVar[Mapping[str, str]] = ON_LABELS
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    effects: ClassVar[frozenset[Effect]] = frozenset({"retraining"})

    ce_weight: float = Field(0.9, ge=0)
    """Weight of the cross-entropy to the labels, the paper's 1 - alpha; 0.9 in the authors' code for ResNet18."""
    kd_weight: float = Field(0.1, gt=0)
    """Weight of the divergence from the virtual teacher, the paper's alpha; 0.1 in the authors' code for ResNet18."""
    correct_probability: float = Field(0.99, gt=0, lt=1)
    """The virtual teacher's probability of the label, before it is softened; 0.99 in the authors' code."""
    temperature: float = Field(20.0, gt=0)
    """T, of the virtual teacher only; 20 in the authors' code for ResNet18."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        from kdbench import functional as F

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            terms: dict[str, Tensor] = {}
            if self.ce_weight > 0:
                labels = F.labels_loss(ctx.task, batch, outputs)
                terms = {name: self.ce_weight * term for name, term in labels.items()}
            for output, given, target in zip(ctx.task.outputs, outputs, batch.targets, strict=True):
                own, classes = F.labelled_rows(output, given, target, batch)
                virtual = F.teacher_free(own, classes, self.correct_probability, self.temperature)
                terms |= F.weighted_term(ctx.task, output, "virtual_teacher", self.kd_weight * virtual)
            return terms

        return ctx.fit(model, loss)
