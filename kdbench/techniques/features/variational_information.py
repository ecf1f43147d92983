"""Variational information distillation: the student's features learn to predict the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import FeatureDistillation, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class VariationalInformation(FeatureDistillation):
    """Maximise a bound on what the student's features tell about the teacher's: a Gaussian with a learned mean.

    loss = ce_weight * CE(s, labels) + kd_weight * sum over stages of mean 0.5 * ((mu(f) - g)^2 / v + log v)

    f, g: features of student and teacher, (B, C, H, W) or (B, D), by default the outputs of all stages; mu: three 1x1
    convolutions (linear layers for vectors) without bias, ReLU between them, as wide as the teacher's layer; v: one
    variance a channel of the teacher, softplus(a) + 1e-5. Both mu and a are trained beside the student and dropped.
    The mean is over all elements; the term falls below 0 as v shrinks. Of two sizes the larger map is average-pooled.

    Paper: Ahn et al. 2019, "Variational information distillation for knowledge transfer", section 2. It sums over
    the elements and takes log sigma, which is half of log v; the mean, and with it the weight of 1, is RepDistiller's.
    """

    paper: ClassVar[str] = "Ahn et al. 2019, Variational Information Distillation for Knowledge Transfer, section 2"
    tap: ClassVar[Literal["stages"]] = "stages"

    kd_weight: float = Field(1.0, ge=0)
    """Weight of the sum over the stages; 1 is RepDistiller's (scripts/run_cifar_distill.sh)."""
    initial_variance: float = Field(5.0, gt=1e-3)
    """Each channel's variance before training; 5 is RepDistiller's."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from kdbench.techniques.features._adapters import Each, Gaussian

        return Each(Gaussian(s, t, self.initial_variance) for s, t in zip(student, teacher, strict=True))

    def term(
        self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None
    ) -> torch.Tensor:
        import torch

        from kdbench import functional as F

        assert adapters is not None
        pooled = [F.alike(s, t) for s, t in zip(student, teacher, strict=True)]
        guesses = adapters([s for s, _ in pooled])
        both = zip(guesses, pooled, strict=True)
        losses = [F.variational_information(mean, variance, t) for (mean, variance), (_, t) in both]
        return torch.stack(losses).sum()
