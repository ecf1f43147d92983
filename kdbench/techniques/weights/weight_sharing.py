"""Weight sharing: the weights of each layer of a trained network take a few values only."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Effect
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm


class WeightSharing(Recovery):
    """Cluster the weights of each layer, replace each by its cluster's mean, then fine-tune the means.

    Each convolution and linear layer has clusters of its own, found by k-means in one dimension from centres spread
    evenly between its extremes; biases and BatchNorm are left alone. Weights that are zero, from pruning say, stay
    zero, and 0 is one of the values. In the fine-tuning who belongs to which cluster stays fixed, and all weights of a
    cluster get the mean of their gradients, so that they move as one.

    Export multiplies BatchNorm's scale into the layer before it, channel by channel, and a file of shared weights would
    not share them any more. So these scales are moved into the weights first, and those BatchNorms keep their
    statistics and scale of 1 in the fine-tuning; only their shifts train. What is shared is what the file holds.

    Paper: Han, Mao, Dally 2016, "Deep Compression", section 3. Where we differ: there the gradients of a cluster are
    summed, here averaged, so that a recipe's learning rate means what it means without sharing; and there the file
    holds indices and a codebook, which no runtime here can run.

    What it buys: bytes after compression, and nothing else. The file stays float32 and as large as it was, latency and
    MACs, too; gzip and zstd alone find the repeated values. For a smaller file that runs, quantize.
    """

    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Han et al. 2016, Deep Compression, section 3"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery", "sharing"})

    bits: int | None = Field(None, ge=1, le=8)
    """Bits of an index into the values: each layer holds at most 2^bits of them; give this or clusters."""
    clusters: int | None = Field(None, ge=2)
    """Each layer holds at most so many values."""
    keep: tuple[str, ...] = ()
    """Names of layers that stay as they are; a block's name keeps every layer in it."""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.bits is None) == (self.clusters is None):
            raise ValueError("give either bits or clusters, to say how many values a layer may hold")
        return self

    @property
    def count(self) -> int:
        """How many values a layer may hold."""
        return self.clusters if self.bits is None else 2**self.bits  # type: ignore[return-value]

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where no layer holds more values than it may."""
        from kdbench.techniques.weighted_layers import weighted
        from kdbench.techniques.weights import _folding, _sharing

        layers: dict[str, Any] = weighted(model, self.keep)
        norms = self._folded(model, ctx, list(layers.values()))
        found = [_sharing.shared(layer.weight, self.count) for layer in layers.values()]
        shared = [one for one in found if one is not None]
        if not shared:
            raise TechniqueError(
                f"nothing was shared: no layer holds more than {self.count} values; ask for fewer, or keep less."
            )
        for one in shared:
            one.snap()
        ctx.note(f"the file stays float32 and as large: only gzip and zstd show the {self.count} values a layer holds.")
        with ExitStack() as stack:
            stack.enter_context(_sharing.tied(shared))
            stack.enter_context(_folding.frozen(norms))
            return self.recover(model, ctx)

    def _folded(self, model: nn.Module, ctx: Context, layers: list[nn.Module]) -> list[_BatchNorm]:
        from torch.nn.modules.batchnorm import _BatchNorm

        from kdbench.techniques.surgery_check import answers, check_inputs, check_same
        from kdbench.techniques.weights._folding import fold

        if not any(isinstance(module, _BatchNorm) for module in model.modules()):
            return []
        inputs = check_inputs(ctx.train)
        before = answers(model, inputs)
        try:
            norms = fold(model, ctx.example, layers)
        except TechniqueError as error:
            ctx.note(f"BatchNorm's scales could not be found, so a layer of the file may hold more values: {error}")
            return []
        check_same(
            before, answers(model, inputs), "with BatchNorm's scales moved into its layers a network is the same"
        )
        return norms

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.weighted_layers import computed_weights, weighted

        if not weighted(model):
            return "the model has no convolution and no linear layer whose weights could share."
        return computed_weights(weighted(model, self.keep))
