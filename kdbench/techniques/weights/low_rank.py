"""Low-rank factorisation: one layer becomes two smaller ones, by the singular values of its weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError, WeightsError
from kdbench.protocols import Context, Effect, TaskDescription, Technique
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdbench.techniques.weights._ranks import Candidates


class LowRank(Recovery):
    """Replace convolutions and linear layers by two of lower rank each, then fine-tune.

    A layer's weight, written as a matrix, is U S V by its singular values; the r largest give the closest matrix of
    rank r (sqrt(S) goes to either side), and so two layers with r channels between them, the second with the bias:

    spatial   k x k becomes k x 1 with r outputs, then 1 x k (2-d convolutions)
    channel   k x k becomes k x k with r outputs, then 1 x 1

    1 x 1 convolutions and linear layers become two of their kind in either form. Each group of a grouped convolution is
    a matrix of its own, of the same rank. r is a share of every layer's full rank; or the smallest with which the
    squared singular values add up to a share of all (`energy`); or of the same energy in every layer, the highest that
    meets `mac_fraction`. A layer that would need as many multiply-accumulates as before stays as it is: depthwise
    convolutions always, most narrow ones. The MACs are those of convolutions and linear layers.

    Papers: Jaderberg, Vedaldi, Zisserman 2014, "Speeding up Convolutional Neural Networks with Low Rank Expansions",
    section 2.1 (the spatial scheme); Tai, Xiao, Zhang, Wang, E 2016, "Convolutional Neural Networks with Low-rank
    Regularization" (its closed form by singular values); Zhang, Zou, He, Sun 2016, "Accelerating Very Deep
    Convolutional Networks for Classification and Detection", section 3.1 (the channel scheme; there the responses are
    approximated, here the weights). Where we differ: every layer is split at once, then all are fine-tuned.

    What it buys: parameters, bytes and MACs. Latency less: two layers take two calls and an intermediate map, and ranks
    that are no multiple of the processor's blocks cost what the next multiple costs.
    """

    version: ClassVar[int] = 1
    family: ClassVar[str] = "other"
    paper: ClassVar[str] = "Tai et al. 2016, Convolutional Neural Networks with Low-rank Regularization"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery"})

    rank_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of every layer's full rank; give this, energy or mac_fraction."""
    energy: float | None = Field(None, gt=0, lt=1)
    """Share of every layer's squared singular values that is kept."""
    mac_fraction: float | None = Field(None, gt=0, lt=1)
    """At most this share of the multiply-accumulates is left."""
    scheme: Literal["spatial", "channel"] = "spatial"
    """The pair of layers that a 2-d convolution becomes."""
    keep: tuple[str, ...] = ()
    """Names of layers that stay as they are; a block's name keeps every layer in it."""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if [self.rank_fraction, self.energy, self.mac_fraction].count(None) != 2:
            raise ValueError("give one of rank_fraction, energy and mac_fraction, to say how much is left")
        return self

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where no layer would get cheaper, or `mac_fraction` cannot be met."""
        from kdbench.techniques.weights._ranks import candidates

        found = candidates(model, ctx.example, self.scheme, self.keep)
        ranks = self._ranks(found)
        pairs = list(zip(found.layers, ranks, strict=True))
        stay = [one.name for one, rank in pairs if not one.pays(rank)]
        if len(stay) == len(pairs):
            kind = TechniqueError if self.energy is None else WeightsError  # energy is of the weights, not their shapes
            raise kind(
                "nothing was factorised: at the ranks asked for, two layers need as many multiply-accumulates as each "
                "one; ask for less, or keep fewer layers."
            )
        going = {one.name: (one.layer, rank) for one, rank in pairs if one.pays(rank)}
        self._split(model, ctx, going)
        if stay:
            ctx.note(f"{', '.join(stay)} stayed whole: at the rank asked for, two layers would not need fewer MACs.")
        ctx.log.info("%d layers factorised, %.1f%% of the MACs left", len(pairs) - len(stay), 100 * found.left(ranks))
        return self.recover(model, ctx)

    def _split(self, model: nn.Module, ctx: Context, going: dict[str, tuple[nn.Module, int]]) -> None:
        """Put two layers in the place of each, after a check that at full rank they give what the one gave."""
        from kdbench.techniques.surgery_check import answers, check_inputs, check_same
        from kdbench.techniques.weights._split import decomposed, split

        inputs = check_inputs(ctx.train)
        before = answers(model, inputs)
        parts = {path: decomposed(layer, self.scheme) for path, (layer, _) in going.items()}
        for path, (layer, _) in going.items():
            model.set_submodule(path, split(layer, self.scheme, parts[path][1].shape[1], parts[path]))
        check_same(before, answers(model, inputs), "split at full rank a network is the same")
        for path, (layer, rank) in going.items():
            model.set_submodule(path, split(layer, self.scheme, rank, parts[path]))

    def _ranks(self, found: Candidates) -> list[int]:
        if self.rank_fraction is not None:
            return found.by_fraction(self.rank_fraction)
        if self.energy is not None:
            return found.by_energy(self.energy)
        assert self.mac_fraction is not None
        return found.by_macs(self.mac_fraction)

    def refuses_after(self, earlier: Technique) -> str | None:
        if earlier.effects & {"zeros", "sharing"}:
            return "it makes new weights of the old ones, neither zero nor shared; move it up."
        return None

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        from kdbench.techniques.weights._split import split_like

        split_like(network, state)
        return network

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.weights._split import is_factor, splittable

        named = list(model.named_modules())
        if any(splittable(layer) and not is_factor(name) for name, layer in named):
            return None
        return "the model has no convolution and no linear layer that could be factorised, or all of them are already."
