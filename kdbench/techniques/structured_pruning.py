"""Structured pruning: whole channels of a trained network are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Context, Technique

if TYPE_CHECKING:
    from torch import nn


class StructuredPruning(Technique):
    """Remove the least important channels of every layer, so that its tensors become smaller; then fine-tune.

    Channels that belong together (through residual sums, depthwise convolutions, BatchNorm) form a group and go
    together. A channel's importance is the mean over the group's layers, those that write the channel and those that
    read it, of sum |w| (`l1`) or sum w^2 (`l2`) over the channel's weights there; or a random number (`random`, drawn
    from the seed: the control that any criterion must beat). Channels are ranked within their group. Of C channels,
    C - floor(C * (1 - channel_fraction)) go, and then as many more as make the rest a multiple of `round_to`; a group
    that would vanish is left whole. The classifier keeps its outputs. The fine-tuning uses the recipe `finetune`.

    Paper: Fang et al. 2023, "DepGraph: Towards Any Structural Pruning", section 3 (the grouping; its library does it).
    Where we differ: no sparsity training before, and one step instead of several, so that every technique trains
    equally long.

    What it buys: parameters, bytes, MACs and latency. Kernels work in blocks, so widths that are no multiple of 8 can
    cost all of the latency won: hence `round_to`, with which narrow layers lose more than was asked.
    """

    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruning"
    paper: ClassVar[str] = "Fang et al. 2023, DepGraph: Towards Any Structural Pruning, section 3"
    roles: ClassVar[frozenset[str]] = frozenset({"finetune"})

    channel_fraction: float = Field(gt=0, lt=1)
    """Share of each layer's output channels to remove, before rounding."""
    round_to: int = Field(8, gt=0)
    """Remaining widths are multiples of this; 1 leaves them as they come."""
    criterion: Literal["l1", "l2", "random"] = "l2"
    """How a channel's importance is measured."""
    keep: tuple[str, ...] = ()
    """Names of further layers whose output channels stay; a block's name keeps every layer in it."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        from kdbench.techniques import _channels

        removed = _channels.remove(
            model,
            ctx.example,
            ctx.task.class_count,
            channel_fraction=self.channel_fraction,
            round_to=self.round_to,
            score=_channels.importance(self.criterion, ctx.seed),
            keep=self.keep,
        )
        ctx.log.info("removed %.1f%% of the output channels", 100 * removed)
        return ctx.fit(model, recipe="finetune")

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques import _channels

        return _channels.obstacle(model, ctx.example, ctx.task.class_count)
