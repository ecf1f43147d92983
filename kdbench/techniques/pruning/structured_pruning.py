"""Structured pruning: whole channels of a trained network are removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Effect, TaskDescription, Technique
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdbench.techniques.pruning._coupling import Traced
    from kdbench.techniques.pruning._widths import Original, Ranked


class StructuredPruning(Recovery):
    """Remove the least important channels, so that tensors become smaller; then fine-tune.

    Channels that belong together (through residual sums, depthwise convolutions, normalisations) form a set and go
    together. A channel's importance is the mean over the set's layers, those that write the channel, those that read
    it (depthwise ones excepted) and its normalisation, of what the criterion says of the channel's weights w there:

    l1, l2           sum |w|, sum w^2; with scope `global` divided by the set's mean, or wide layers would always win
    batchnorm_scale  |gamma| of BatchNorm alone (Liu et al. 2017, section 3); sets without BatchNorm stay whole
    taylor           mean over the batches of the training split, in its order and not augmented, of (sum g w)^2,
                     g the gradient of the labels' cross-entropy in eval mode (Molchanov et al. 2019, section 3)
    random           a number drawn from the seed: the control that any criterion must beat

    Scope `uniform` takes the same share from every set: of C channels C - floor(C * (1 - channel_fraction)) go;
    `global` ranks the channels of all sets together. Then as many more go as make the rest a multiple of `round_to`; a
    set keeps at least `round_to` channels, or all where it has fewer. With `mac_fraction` the share is the smallest one
    that meets the budget after rounding. Groups of a grouped convolution lose equally many, of the same places; where
    a width cannot be a multiple of both, `round_to` gives way. The classifier keeps its outputs, and channels that go
    through a channel shuffle stay, with all that they are added to. The MACs are those of convolutions and linear
    layers. Networks with attention are refused.

    Papers: Fang et al. 2023, "DepGraph: Towards Any Structural Pruning", section 3 (the grouping; its library does it);
    Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3 (l1; there of the writing layer alone). Where we
    differ: no sparsity training before (a recipe's `regularizer` can do that), and however many `steps` there are, they
    share one fine-tuning's epochs, so that every technique trains equally long.

    What it buys: parameters, bytes, MACs and latency. Kernels work in blocks, so widths that are no multiple of 8 can
    cost all of the latency won: hence `round_to`, with which narrow layers lose more than was asked. LayerNorm takes
    its mean over channels: there even channels of zeros change the rest by going.
    """

    version: ClassVar[int] = 2
    family: ClassVar[str] = "pruning"
    paper: ClassVar[str] = "Fang et al. 2023, DepGraph: Towards Any Structural Pruning, section 3"
    packages: ClassVar[frozenset[str]] = frozenset({"torch-pruning"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery"})

    channel_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of the channels to remove, before rounding; give this or mac_fraction."""
    mac_fraction: float | None = Field(None, gt=0, lt=1)
    """At most this share of the multiply-accumulates is left."""
    scope: Literal["uniform", "global"] = "uniform"
    """Whether every set of channels loses the same share, or the least important channels of the network go."""
    criterion: Literal["l1", "l2", "batchnorm_scale", "taylor", "random"] = "l2"
    """How a channel's importance is measured."""
    round_to: int = Field(8, gt=0)
    """Remaining widths are multiples of this; 1 leaves them as they come."""
    steps: int = Field(1, gt=0)
    """In how many goes the channels are removed, each followed by its part of the fine-tuning's epochs."""
    keep: tuple[str, ...] = ()
    """Names of further layers whose output channels stay; a block's name keeps every layer in it."""
    reinitialize: bool = False
    """The control "same smaller shape from scratch": new weights in the pruned shape, trained under recipe `train`."""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.channel_fraction is None) == (self.mac_fraction is None):
            raise ValueError("give either channel_fraction or mac_fraction, to say how much is removed")
        if not self.finetuned and (self.steps > 1 or self.reinitialize):
            raise ValueError("steps and reinitialize train, so finetuned cannot be false with them")
        if self.reinitialize and self.steps > 1:
            raise ValueError("with reinitialize the pruned shape is trained once, from new weights; leave steps out")
        return self

    def trains_under(self) -> frozenset[str]:
        return frozenset({"train"}) if self.reinitialize else super().trains_under()

    def refuses_after(self, earlier: Technique) -> str | None:
        if self.reinitialize and "surgery" in earlier.effects and not isinstance(earlier, StructuredPruning):
            return "reinitialize takes new weights from the student as it was built; put it first."
        return None

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing would be removed, or `mac_fraction` cannot be met."""
        from kdbench.techniques.pruning._coupling import trace
        from kdbench.techniques.pruning._widths import original

        before = None
        for step in range(1, self.steps + 1):
            traced = trace(model, ctx.example, [output.width for output in ctx.task.outputs], self.keep)
            if traced.shuffles and step == 1:
                free = round(100 * traced.free_fraction)
                ctx.note(f"channels that go through a shuffle stayed; the amount holds for the others, {free}% of all.")
            before = before or original(traced)
            self._shrink(model, ctx, traced, self._ranked(traced, ctx, step, before), before, step)
            if self.reinitialize:
                self._renew(model, ctx)
                return self.recover(model, ctx, recipe="train")
            model = self.recover(model, ctx, ((step - 1) / self.steps, step / self.steps))
        return model

    def _ranked(self, traced: Traced, ctx: Context, step: int, before: Original) -> list[Ranked]:
        """The sets that the criterion can rank."""
        from kdbench.techniques.pruning._criteria import score
        from kdbench.techniques.pruning._widths import ranked

        measure = score(self.criterion, traced, ctx.train, ctx.task, ctx.seed + 1_000_003 * (step - 1))
        scores = [(one, measure(one)) for one in traced.sets]
        whole = sorted(one.name for one, found in scores if found is None)
        if whole and step == 1:
            ctx.note(f"{self.criterion} left the channels of {', '.join(whole)} whole: no BatchNorm scales them.")
        return [ranked(one, found, before.widths[one.name]) for one, found in scores if found is not None]

    def _shrink(
        self, model: nn.Module, ctx: Context, traced: Traced, sets: list[Ranked], before: Original, step: int
    ) -> None:
        """Remove what is due by this step."""
        from kdbench.techniques.pruning._channels import check_cut, cut
        from kdbench.techniques.pruning._widths import macs
        from kdbench.techniques.surgery_check import check_inputs

        if step == 1 and not any(self._going(sets, traced, before, 1.0)):
            self._refuse(sets)
        going = self._going(sets, traced, before, step / self.steps)
        gone = [(one.channels, one.gone(count)) for one, count in zip(sets, going, strict=True) if count]
        cut(model, gone)
        check_cut(model, traced, gone, check_inputs(ctx.train))
        left = macs(traced, sets, going) / before.macs
        ctx.log.info("step %d of %d: %.1f%% of the MACs left", step, self.steps, 100 * left)

    def _going(self, sets: list[Ranked], traced: Traced, before: Original, progress: float) -> list[int]:
        """Channels that go from each set on the way (0-1) to the amount that was asked for."""
        from kdbench.techniques.pruning._widths import Widths

        rule = Widths(self.scope, self.round_to)
        if self.mac_fraction is not None:
            return rule.within(sets, traced, before.macs, 1 - (1 - self.mac_fraction) * progress)
        assert self.channel_fraction is not None
        return rule.going(sets, self.channel_fraction * progress)

    def _refuse(self, sets: list[Ranked]) -> None:
        if not sets:
            raise TechniqueError("nothing was removed: every layer is kept, or cannot be ranked; keep fewer layers.")
        widths = sorted({one.channels.width for one in sets})
        raise TechniqueError(
            f"nothing was removed: with round_to {self.round_to} and channel_fraction {self.channel_fraction} every "
            f"layer stays as wide as it is (widths {widths}); lower round_to, or keep fewer layers."
        )

    def _renew(self, model: nn.Module, ctx: Context) -> None:
        import torch

        from kdbench.techniques.surgery import renew

        fresh, other = ctx.fresh(1), ctx.fresh(2)
        pairs = zip(fresh.parameters(), other.parameters(), strict=True)
        if sum(p.numel() for p, q in pairs if torch.equal(p, q)) > sum(p.numel() for p in fresh.parameters()) / 2:
            raise TechniqueError(
                "reinitialize needs a student with new weights, but this one starts from a weights file; take another."
            )
        renew(model, fresh)

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        from kdbench.techniques.surgery import fit_shapes

        fit_shapes(network, state)
        return network

    def problem(self, model: Any, ctx: Context) -> str | None:
        from torch.nn.modules.batchnorm import _BatchNorm

        from kdbench.techniques.pruning import _coupling

        if self.criterion == "batchnorm_scale" and not any(isinstance(m, _BatchNorm) for m in model.modules()):
            return "criterion batchnorm_scale ranks channels by BatchNorm's scale, and the model has no BatchNorm."
        return _coupling.obstacle(model, ctx.example, [output.width for output in ctx.task.outputs], self.keep)
