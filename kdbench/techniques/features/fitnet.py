"""FitNets: the student's middle layer learns to predict the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import PairDistillation, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class FitNet(PairDistillation):
    """Match one layer of the teacher (the hint) through a regressor on one layer of the student.

    loss = ce_weight * CE(s, labels) + kd_weight * mean (r(f) - g)^2

    f, g: features of the student's and the teacher's layer, (B, C, H, W) each of its own shape, or (B, D); r: a
    convolution (a linear layer for vectors), BatchNorm and ReLU that give the teacher's shape, trained beside the
    student and dropped. By default both are tapped at the output of the middle stage, which is the second of three
    or four (RepDistiller's hint layer 2). The mean is over all elements.

    Paper: Romero et al. 2015, "FitNets: hints for thin deep nets", section 2. It has half the sum over elements,
    and two goes: the hint alone first, then soft distillation with labels. `stages: two` with a `soft_weight` is that
    (the paper lets the weight of the soft part fall in its course; here it stays). The default is one go with both
    terms, BatchNorm and ReLU in the regressor, and a weight of 100, as in RepDistiller, whose table of results is the
    one that is quoted. That ReLU keeps what is compared from falling below 0: harmless for a layer that ends in a
    ReLU, but negative values of a hint are never reached; use `regressor: conv_bn` there. Without BatchNorm, as in
    the paper, a weight of 100 at a learning rate of 0.05 can diverge.
    """

    paper: ClassVar[str] = "Romero et al. 2015, FitNets: Hints for Thin Deep Nets, section 2"
    tap: ClassVar[Literal["middle_stage"]] = "middle_stage"

    kd_weight: float = Field(100.0, ge=0)
    """Weight of the hint; 100 is RepDistiller's (scripts/run_cifar_distill.sh)."""
    regressor: Literal["conv_bn_relu", "conv_bn", "conv"] = "conv_bn_relu"
    """`conv` alone is the paper's, and needs a much smaller kd_weight; `conv_bn` also reaches negative hints."""
    stages: Literal["one", "two"] = "one"
    """`two`: the hint alone first, then labels (and, with a soft_weight, softened outputs) without it."""
    hint_fraction: float = Field(0.125, gt=0, lt=1)
    """With `stages: two`, the share of the epochs that train on the hint, rounded up; 0.125 is 30 of 240."""

    @model_validator(mode="after")
    def _something_afterwards(self) -> Self:
        if self.stages == "two" and self.ce_weight == 0 and self.soft_weight == 0:
            raise ValueError("after the hint the student learns from labels or outputs; raise ce_weight or soft_weight")
        return self

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from kdbench.techniques.features._adapters import Each, regressor

        made = regressor(student[0], teacher[0], norm="bn" in self.regressor, relu="relu" in self.regressor)
        return Each([made])

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from kdbench import functional as F

        assert adapters is not None
        return F.hint(adapters(student)[0], teacher[0])

    @property
    def one_loss(self) -> bool:
        return self.stages == "one"

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        if self.stages == "one" or self.kd_weight == 0:
            return super().apply(model, ctx)
        return self.in_two_goes(model, ctx, self.hint_fraction)
