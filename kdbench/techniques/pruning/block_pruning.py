"""Block pruning: whole layers of a transformer are removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError, nearest
from kdbench.protocols import Context, Effect, TaskDescription
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import Tensor, nn


class BlockPruning(Recovery):
    """Remove whole blocks of a transformer (attention and feed-forward part), then fine-tune.

    The blocks that stay keep their weights and follow each other: where one is gone, what went into it goes on as it
    was. `alternate` keeps the first of each N / M of N blocks, `last` and `first` those next to the output and the
    input; or `keep` names them. The smaller network is compared with the whole one in which those blocks pass their
    input on.

    Paper: Sajjad et al. 2023, "On the effect of dropping layers of pre-trained transformer models", section 3; there
    dropping the top ones (`first` stays) loses least, after a fine-tuning. Without one a classifier of the first token
    needs the last block: it was trained to read that.
    """

    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "transformers"
    family: ClassVar[str] = "pruning"
    paper: ClassVar[str] = "Sajjad et al. 2023, On the effect of dropping layers of pre-trained transformer models"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery"})

    block_count: int | None = Field(None, gt=0)
    """How many blocks stay; by default half of them, rounded up."""
    stays: Literal["alternate", "first", "last"] = "alternate"
    """Which ones."""
    keep: tuple[str, ...] | None = Field(None, min_length=1)
    """The blocks that stay, by path; instead of block_count and stays."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing would be removed, or `keep` names what is not there."""
        from kdbench.techniques.pruning._blocks import drop
        from kdbench.techniques.transformer_distillation import present

        paths = [block.path for block in present(ctx.student_layers, model, "student")]
        kept = self._kept(paths)
        if len(kept) == len(paths):
            raise TechniqueError(f"nothing was removed: the network has {len(paths)} blocks; lower block_count.")
        drop(model, paths, kept, ctx.train)
        ctx.note(f"{', '.join(kept)} stayed, of {len(paths)} blocks.")
        return self.recover(model, ctx)

    def _kept(self, paths: list[str]) -> list[str]:
        if self.keep is not None:
            for path in self.keep:
                if path not in paths:
                    raise TechniqueError(f"keep: the network has no block '{path}'. {nearest(path, paths)}")
            return [path for path in paths if path in self.keep]
        count = min(self.block_count or -(-len(paths) // 2), len(paths))
        if self.stays == "alternate":
            return [paths[number * len(paths) // count] for number in range(count)]
        return paths[:count] if self.stays == "first" else paths[-count:]

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        from kdbench.techniques.pruning._blocks import shorten

        shorten(network, state)
        return network

    def problem(self, model: Any, ctx: Context) -> str | None:
        from torch import nn

        parents = {path.rpartition(".")[0] for path in (block.path for block in ctx.student_layers.blocks)}
        modules = dict(model.named_modules())
        if any(not isinstance(modules.get(path), nn.ModuleList) for path in parents):
            return "the network's blocks do not stand in one nn.ModuleList, so none can be taken out of it."
        return None
