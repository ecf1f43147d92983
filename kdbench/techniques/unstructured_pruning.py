"""Unstructured pruning: the smallest weights of a trained network become zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Technique

if TYPE_CHECKING:
    from torch import nn


class UnstructuredPruning(Technique):
    """Set the smallest weights of the whole network to zero, then fine-tune with the zeros held.

    Of the N weights of all convolutions and linear layers (biases and BatchNorm are left alone), the
    round(weight_fraction * N) with the smallest |w| become 0, ranked over the whole network, not layer by layer.
    Exactly so many: of equal weights at the threshold, torch's top-k decides which go. The fine-tuning uses the
    recipe `finetune`; afterwards the network is an ordinary one with zeros in it.

    Paper: Han, Pool, Tran, Dally 2015, "Learning both Weights and Connections for Efficient Neural Networks",
    section 3. There each layer has a threshold of its own and prune and retrain alternate; here the threshold is
    global and the pruning happens once, so that every technique trains equally long.

    What it buys: bytes after compression (gzip), and nothing else. The tensors keep their shapes, so the file, the
    MACs and the latency stay what they were in runtimes without sparse kernels, onnxruntime among them.
    """

    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruning"
    paper: ClassVar[str] = "Han et al. 2015, Learning both Weights and Connections for Efficient Networks, section 3"
    roles: ClassVar[frozenset[str]] = frozenset({"finetune"})

    weight_fraction: float = Field(gt=0, lt=1)
    """Share of the convolution and linear weights that becomes zero."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        from torch.nn.utils import prune

        layers = _layers(model)
        self._refuse_nothing(layers)
        prune.global_unstructured(
            [(layer, "weight") for layer in layers], prune.L1Unstructured, amount=self.weight_fraction
        )
        trained = ctx.fit(model, recipe="finetune")
        for layer in _layers(trained):
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
            layer.weight.data += 0.0  # -0.0 becomes 0.0: one pattern of bits for every zero, which gzip is here for
        return trained

    def problem(self, model: Any, ctx: Context) -> str | None:
        return None if _layers(model) else "the model has no convolution and no linear layer to prune."

    def _refuse_nothing(self, layers: list[Any]) -> None:
        count = sum(layer.weight.numel() for layer in layers)
        zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
        if round(self.weight_fraction * count) <= zeros:
            raise TechniqueError(
                f"weight_fraction {self.weight_fraction} changes nothing: {zeros} of {count} weights are zero already "
                f"and {round(self.weight_fraction * count)} were asked for; raise weight_fraction."
            )


def _layers(model: nn.Module) -> list[Any]:
    from torch import nn

    return [m for m in model.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))]
