"""Unstructured pruning: the smallest weights of a trained network become zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Effect
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import nn

    from kdbench.techniques.pruning._sparsity import Groups, Ranking, Zeros


class UnstructuredPruning(Recovery):
    """Set the smallest weights to zero, then fine-tune with the zeros held.

    Of the N weights of all convolutions and linear layers (biases and BatchNorm are left alone),
    round(weight_fraction * N) become 0: those with the smallest |w| of the whole network, or with scope `layer` the
    same share of every layer. Exactly so many: of equal weights at the threshold, torch's top-k decides which go. With
    a `pattern` N:M at most N of every M consecutive weights along the input axis stay (in a convolution: of M input
    channels, at the same place of the kernel), the largest ones; layers whose inputs are no multiple of M stay whole.

    In several `steps` the share grows from what is zero already, s0, by s - (s - s0) (1 - step / steps)^3 (Zhu and
    Gupta 2017, section 3), each step followed by its part of the fine-tuning; what is zero stays zero. There steps are
    hundreds of batches apart and training goes on after the last one; here they share one fine-tuning's epochs, so
    that every technique trains equally long. Held means: these weights get no gradient, so that no optimizer moves
    them; afterwards the network is an ordinary one with zeros in it.

    Papers: Han, Pool, Tran, Dally 2015, "Learning both Weights and Connections for Efficient Neural Networks",
    section 3 (there each layer has a threshold of its own, by its standard deviation); Zhu, Gupta 2017, "To Prune, or
    Not to Prune"; Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks", section 3 (2:4).

    What it buys: bytes after compression (gzip), and nothing else. The tensors keep their shapes, so the file, the
    MACs and the latency stay what they were in runtimes without sparse kernels, onnxruntime among them; 2:4 is faster
    only where a runtime has kernels for it (TensorRT on some NVIDIA GPUs).
    """

    version: ClassVar[int] = 1
    family: ClassVar[str] = "pruning"
    paper: ClassVar[str] = "Han et al. 2015, Learning both Weights and Connections for Efficient Networks, section 3"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery", "zeros"})

    weight_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of the convolution and linear weights that becomes zero; give this or pattern."""
    pattern: str = Field("none", pattern=r"^(none|[1-9][0-9]*:[1-9][0-9]*)$")
    """"2:4", say: of every 4 consecutive inputs' weights at most 2 are not zero."""
    scope: Literal["global", "layer"] = "global"
    """Whether the smallest weights of the network go, or the same share of every layer."""
    steps: int = Field(1, gt=0)
    """In how many goes the weights become zero, each followed by its part of the fine-tuning's epochs."""
    criterion: Literal["magnitude", "random"] = "magnitude"
    """How the weights are chosen; `random` draws them from the seed, a control that magnitude must beat."""
    keep: tuple[str, ...] = ()
    """Names of layers that stay whole and do not count; a block's name keeps every layer in it."""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.weight_fraction is None) == (self.pattern == "none"):
            raise ValueError("give either weight_fraction or pattern, to say how much becomes zero")
        if self.pattern != "none" and self.scope == "layer":
            raise ValueError("a pattern holds in every group of every layer, so scope has no effect; leave it out")
        if self.pattern != "none" and self._stay_of()[0] >= self._stay_of()[1]:
            raise ValueError(f"pattern {self.pattern} makes no weight zero; the first number is the smaller one")
        if not self.finetuned and self.steps > 1:
            raise ValueError("steps train between them, so finetuned cannot be false with them")
        return self

    def _stay_of(self) -> tuple[int, int]:
        """N and M of the pattern."""
        stay, size = self.pattern.split(":")
        return int(stay), int(size)

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing would become zero."""
        from kdbench.techniques.pruning import _sparsity

        pools = self._pools(model, ctx)
        for step in range(1, self.steps + 1):
            zeros = self._zeros(pools, step, ctx)
            _sparsity.erase(zeros)
            with _sparsity.held(zeros):
                model = self.recover(model, ctx, ((step - 1) / self.steps, step / self.steps))
        _sparsity.erase(zeros)
        self._note_dead(model, ctx)
        return model

    def _pools(self, model: nn.Module, ctx: Context) -> list[Ranking] | list[Groups]:
        """The groups of weights that are ranked together."""
        from kdbench.techniques.pruning._sparsity import ranking
        from kdbench.techniques.weighted_layers import weighted

        layers: dict[str, Any] = weighted(model, self.keep)
        if not layers:
            raise TechniqueError("nothing became zero: every layer is kept; keep fewer layers.")
        if self.weight_fraction is None:
            return self._groups(layers, ctx)
        weights = [layer.weight for layer in layers.values()]
        together = [[weight] for weight in weights] if self.scope == "layer" else [weights]
        pools = [ranking(some, self.weight_fraction) for some in together]
        if all(pool.target <= pool.before for pool in pools):
            zeros, count = sum(pool.before for pool in pools), sum(weight.numel() for weight in weights)
            raise TechniqueError(
                f"weight_fraction {self.weight_fraction} changes nothing: {zeros} of {count} weights are zero already "
                f"and {sum(pool.target for pool in pools)} were asked for; raise weight_fraction."
            )
        return pools

    def _groups(self, layers: dict[str, Any], ctx: Context) -> list[Groups]:
        from kdbench.techniques.pruning._sparsity import Groups

        stay, size = self._stay_of()
        whole = [name for name, layer in layers.items() if layer.weight.shape[1] % size]
        pools = [Groups((layer.weight,), stay, size) for name, layer in layers.items() if name not in whole]
        if not pools:
            raise TechniqueError(f"pattern {self.pattern} fits no layer: none has a multiple of {size} inputs a group.")
        if not any(pool.changes() for pool in pools):
            raise TechniqueError(f"pattern {self.pattern} changes nothing: so many weights are zero already.")
        if whole:
            ctx.note(f"{', '.join(whole)} stayed whole: no multiple of {size} inputs, so {self.pattern} does not fit.")
        return pools

    def _zeros(self, pools: list[Ranking] | list[Groups], step: int, ctx: Context) -> Zeros:
        """Masks of the weights that are zero from this step on."""
        from kdbench.techniques.pruning._sparsity import score

        rank = score(self.criterion, ctx.seed + 1_000_003 * (step - 1))
        progress = 1 - (1 - step / self.steps) ** 3
        return {
            weight: places
            for pool in pools
            for weight, places in zip(pool.weights, pool.zeros(progress, rank), strict=True)
        }

    def _note_dead(self, model: nn.Module, ctx: Context) -> None:
        from kdbench.techniques.weighted_layers import weighted

        dead = [name for name, layer in weighted(model).items() if not layer.weight.any()]  # type: ignore[operator]
        if dead:
            ctx.note(f"all weights of {', '.join(dead)} became zero: what goes through there does not count any more.")

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.weighted_layers import computed_weights, weighted

        if not weighted(model):
            return "the model has no convolution and no linear layer to prune."
        return computed_weights(weighted(model, self.keep))
