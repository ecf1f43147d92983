"""Head pruning: whole heads of attention are removed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kdbench.protocols.model import Block
from kdbench.techniques.pruning._transformer_pruning import GroupPruning


class HeadPruning(GroupPruning):
    """Remove the least important attention heads of each block, so that tensors become smaller; then fine-tune.

    Of a head its rows of the query, key and value layers and its columns of the output layer go. A head's importance is

    gradient  mean over training examples of |dL / dg|, g a gate of 1 on the head, L the example's loss on its label;
              divided by the l2 norm over the block's heads
    l2        sum w^2 over its columns of the output layer
    random    a number drawn from the seed: the control that any criterion must beat

    Scope `uniform` takes the same share of every block, rounded down; `global` ranks all heads together. A block keeps
    one head at least. The smaller network is compared with the whole one in which those heads are silent.

    Paper: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 4.1. There heads go in steps and
    nothing is trained afterwards (`finetuned: false`).
    """

    paper: ClassVar[str] = "Michel et al. 2019, Are Sixteen Heads Really Better than One?, section 4.1"
    group: ClassVar[str] = "head"

    head_fraction: float = Field(0.5, gt=0, lt=1)
    """Share of the heads to remove."""

    def fraction(self) -> float:
        return self.head_fraction

    def reader(self, block: Block) -> tuple[str, int]:
        return block.out, block.head_size

    def writers(self, block: Block) -> tuple[str, ...]:
        return block.query, block.key, block.value
