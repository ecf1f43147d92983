"""Factor transfer: the student learns a paraphrase of the teacher's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import PairDistillation, Shape
from kdbench.techniques.output_kinds import ON_MAPS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdbench.techniques.features._factors import Factors


class FactorTransfer(PairDistillation):
    """Match factors, which a paraphraser makes of the teacher's last stage and a translator of the student's.

    First: min over the paraphraser of MSE(paraphraser(f_t), f_t), f_t (B, C_t, H, W), the student not touched.
    Then: loss = ce_weight * CE + kd_weight * mean |N(factor_s) - N(factor_t)|

    factor_t (B, factor_fraction * C_t, H, W): the middle of the paraphraser, which learns no more; factor_s: the
    translator's, of the same channels, trained with the student; the larger one is averaged to the smaller one's size.
    N flattens and divides by the L2 norm, as in the paper. `pools_channels: true` applies it to the mean over channels
    of the squares, (B, H, W): RepDistiller's loss, with which the published accuracies were obtained. It is not the
    default, as it forgets which factor is which: on digits a student that it taught was no better than one that
    learned from shuffled factors, where the paper's was (`tests/perf/test_teaching.py`). The term is a mean over
    elements, which the paper leaves open. Both modules are dropped. Taps the last stage by default.

    Paper: Kim, Park, Kwak 2018, "Paraphrasing Complex Network: Network Compression via Factor Transfer", section 3.
    RepDistiller gives the paraphraser 30 epochs on top of the student's 240; here they are taken from the recipe's
    (`paraphraser_fraction`), and its learning rate and schedule, shrunk, are the paraphraser's too. All convolutions
    are followed by BatchNorm so that they learn at any recipe's rate; RepDistiller's paraphraser has none and a lower
    rate of its own for ResNets.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_MAPS
    paper: ClassVar[str] = "Kim, Park, Kwak 2018, Paraphrasing Complex Network: Network Compression via Factor Transfer"
    tap: ClassVar[Literal["last_stage"]] = "last_stage"
    on_maps: ClassVar[bool] = True
    mixes_places: ClassVar[bool] = True

    kd_weight: float = Field(200.0, ge=0)
    """Weight of the term; 200 in RepDistiller's CIFAR-100 table, with `pools_channels: true`."""
    factor_fraction: float = Field(0.5, gt=0, le=1)
    """Channels of the factor, as a share of the teacher's (k in the paper)."""
    paraphraser_fraction: float = Field(0.125, gt=0, lt=1)
    """Share of the recipe's epochs that trains the paraphraser: RepDistiller's 30 of 240."""
    pools_channels: bool = False
    """Whether factors are compared by their mean square over the channels alone."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        from kdbench.techniques.features._factors import Factors

        return Factors(student[0][0], teacher[0][0], max(1, int(self.factor_fraction * teacher[0][0])))

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        if self.kd_weight == 0:
            return super().apply(model, ctx)
        with self.terms(model, ctx) as (adapters, terms):
            factors = cast("Factors", adapters)
            self._paraphrase(factors, ctx)
            rest = (self.paraphraser_fraction, 1.0)
            return ctx.fit(model, self._weighted(terms, ctx.task), factors.translator, part=rest)

    def _paraphrase(self, factors: Factors, ctx: Context) -> None:
        """Train the paraphraser for its share of the epochs."""
        from kdbench.techniques.features._factors import Paraphrased

        teacher = ctx.teacher_module
        _, (layer,) = self.pairs(ctx)
        reader = Paraphrased(factors.paraphraser, lambda batch: ctx.answers(teacher, batch))
        with reader.reading(teacher.get_submodule(layer)):
            ctx.fit(reader, lambda batch, outputs: {"paraphraser": reader.error}, part=(0.0, self.paraphraser_fraction))
        factors.paraphraser.requires_grad_(False).eval()

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        from torch.nn.functional import adaptive_avg_pool2d

        from kdbench import functional as F

        factors = cast("Factors", adapters)
        mine, its = factors.translator(student[0]), factors.paraphraser.encoder(teacher[0])
        size = tuple(map(min, mine.shape[2:], its.shape[2:]))
        mine, its = (adaptive_avg_pool2d(factor, size) for factor in (mine, its))
        if self.pools_channels:
            mine, its = mine.square().mean(1), its.square().mean(1)
        return F.factor_transfer(mine, its)
