"""Decoupled distillation (DKD): the labelled class and the others are taught apart, each with a weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.techniques.output_kinds import EVERY_KIND, NO_RANKING, SOFTENED
from kdbench.techniques.outputs._outputs import OutputDistillation

if TYPE_CHECKING:
    from torch import Tensor


class DecoupledDistillation(OutputDistillation):
    """Match how sure the teacher is of the labelled class, and apart from that how it ranks the others.

    loss = kd_weight * T^2 * (target_weight * KL(b_t || b_s) + nontarget_weight * KL(n_t || n_s))
           + ce_weight * CE(s, labels)

    b: (p_y, 1 - p_y) of the softened outputs p of either network, y the label; n: (K - 1), the softened outputs among
    the other classes alone. Averaged over the B examples. Soft distillation weighs the second part by the teacher's
    1 - p_y, so that a sure teacher tells little about the other classes; here the weight is the same for everyone.

    Paper: Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3. Its CIFAR-100 runs have ce_weight 1,
    target_weight 1, T 4, and a nontarget_weight for each pair: 2 for resnet56 to resnet20 and resnet110 to resnet32;
    6 for the wide ResNets among themselves, vgg13 to vgg8 and vgg13 to MobileNetV2; 8 (the default) for resnet32x4 to
    anything, ResNet50 to MobileNetV2 and wrn_40_2 to ShuffleNetV1. Where we differ: the published runs raise the
    weight of the term linearly over the first 20 epochs, which is left out, since a loss is not told the epoch (a
    recipe with `warmup_epochs` helps where such a weight keeps a student from learning); and their accuracies are
    those of the best test epoch.
    """

    kinds: ClassVar[frozenset[str]] = EVERY_KIND - NO_RANKING.keys()
    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        **NO_RANKING,
        "dense_classes": "at each place that is labelled",
        "token_classes": "at each token that is labelled",
    }
    about_labels: ClassVar[bool] = True
    of_two_classes: ClassVar[str] = (
        "with two classes there is one wrong class and nothing to rank: decoupled_distillation is soft_distillation, "
        "times target_weight."
    )
    paper: ClassVar[str] = "Zhao et al. 2022, Decoupled Knowledge Distillation, section 3"
    label: ClassVar[str] = "decoupled"

    ce_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy to the labels; 1 in the paper's CIFAR-100 configurations."""
    temperature: float = Field(4.0, gt=0)
    """T; 4 in the paper's CIFAR-100 configurations, 1 in those for ImageNet."""
    target_weight: float = Field(1.0, ge=0)
    """Weight of the labelled class against the others, the paper's alpha."""
    nontarget_weight: float = Field(8.0, ge=0)
    """Weight of the other classes among themselves, the paper's beta; 8 is its value for resnet32x4 to resnet8x4."""

    @model_validator(mode="after")
    def _labels_only(self) -> Self:
        if self.unlabelled is not None:
            raise ValueError("decoupled_distillation needs the label of every image; leave unlabelled out")
        if self.target_weight == 0 and self.nontarget_weight == 0:
            raise ValueError("target_weight and nontarget_weight are both 0; raise one of them")
        return self

    def term(self, student: Tensor, teacher: Tensor, targets: Tensor | None) -> Tensor:
        from kdbench import functional as F

        assert targets is not None, "refused beside unlabelled images"
        return F.decoupled_distillation(
            student, teacher, targets, self.temperature, self.target_weight, self.nontarget_weight
        )
