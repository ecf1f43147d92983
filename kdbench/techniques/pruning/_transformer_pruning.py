"""The base of pruning heads and units: what is ranked, how much goes, and the fine-tuning. Knows no layer's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Effect, TaskDescription
from kdbench.protocols.model import Block
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import Tensor, nn


class GroupPruning(Recovery):
    """Remove the least important groups of numbers inside blocks, then fine-tune."""

    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "transformers"
    family: ClassVar[str] = "pruning"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery"})
    group: ClassVar[str]
    """What a group is called."""

    criterion: Literal["gradient", "l2", "random"] = "gradient"
    """How importance is measured."""
    scope: Literal["uniform", "global"] = "uniform"
    """Whether every block loses the same share, or the least important of the whole network go."""
    samples: int = Field(1024, gt=0)
    """Training examples on which criterion `gradient` is measured."""

    def fraction(self) -> float:
        """The share that goes."""
        raise TypeError(f"{type(self).__name__} has no fraction()")

    def reader(self, block: Block) -> tuple[str, int]:
        """The linear layer that reads a block's groups side by side, and the numbers of each."""
        raise TypeError(f"{type(self).__name__} has no reader()")

    def writers(self, block: Block) -> tuple[str, ...]:
        """The linear layers that write them."""
        raise TypeError(f"{type(self).__name__} has no writers()")

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing would be removed."""
        from kdbench.techniques.pruning._gates import cut_groups, least
        from kdbench.techniques.transformer_distillation import present

        blocks = present(ctx.student_layers, model, "student")
        readers = dict(map(self.reader, blocks))
        scores = self._scores(model, blocks, readers, ctx)
        gone = least(scores, self.fraction(), self.scope == "global")
        count, every = sum(map(len, gone.values())), sum(map(len, scores.values()))
        if not count:
            raise TechniqueError(
                f"nothing was removed: {self.fraction():g} of the {self.group}s of each block is less than one; "
                "raise it, or say `scope: global`."
            )
        writers = {self.reader(block)[0]: self.writers(block) for block in blocks}
        cut_groups(model, writers, readers, gone, ctx.train)
        left = ", ".join(str(len(scores[path]) - len(gone[path])) for path in scores)
        ctx.note(f"{count:,} of {every:,} {self.group}s went; the blocks have {left} left.")
        return self.recover(model, ctx)

    def _scores(
        self, model: nn.Module, blocks: list[Block], readers: Mapping[str, int], ctx: Context
    ) -> dict[str, Tensor]:
        import torch

        from kdbench.streams import torch_seed
        from kdbench.techniques.pruning._gates import importance, linear

        if self.criterion == "gradient":
            return importance(model, readers, ctx.train, ctx.task, self.samples)
        if self.criterion == "random":
            generator = torch.Generator().manual_seed(torch_seed("groups at random", ctx.seed))
            sizes = {path: linear(model, path).in_features // size for path, size in readers.items()}
            return {path: torch.rand(count, generator=generator) for path, count in sizes.items()}
        return {
            path: linear(model, path).weight.detach().square().sum(0).view(-1, size).sum(1)
            for path, size in readers.items()
        }

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        from kdbench.techniques.surgery import fit_shapes

        fit_shapes(network, state)
        return network
