"""Unit pruning: units between the two linear layers of a transformer's blocks are removed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from kdbench.protocols.model import Block
from kdbench.techniques.pruning._transformer_pruning import GroupPruning


class UnitPruning(GroupPruning):
    """Remove the least important units of each block's feed-forward part (its inner width); then fine-tune.

    Of a unit its row of the first linear layer and its column of the second go. A unit's importance is

    gradient  mean over training examples of |sum over tokens of h dL/dh|, h the unit's value, L the example's loss
    l2        sum w^2 over its column of the second layer
    random    a number drawn from the seed: the control that any criterion must beat

    Scope `uniform` takes the same share of every block, rounded down; `global` ranks all units together. A block keeps
    one unit at least. The smaller network is compared with the whole one in which those units are silent.

    Paper: Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource Efficient Inference", section 2.2
    (the first term of Taylor's expansion, there for channels); for feed-forward parts as in Hou et al. 2020,
    "DynaBERT", section 2.1.
    """

    paper: ClassVar[str] = "Molchanov et al. 2017, Pruning CNNs for Resource Efficient Inference, section 2.2"
    group: ClassVar[str] = "unit"

    unit_fraction: float = Field(0.5, gt=0, lt=1)
    """Share of the units to remove."""

    def fraction(self) -> float:
        return self.unit_fraction

    def reader(self, block: Block) -> tuple[str, int]:
        return block.narrow, 1

    def writers(self, block: Block) -> tuple[str, ...]:
        return (block.wide,)
