"""Contrastive representation distillation (CRD): the student learns to tell an example by the teacher's embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context
from kdbench.techniques.feature_distillation import PairDistillation, Shape
from kdbench.techniques.output_kinds import EVERY_KIND, ON_EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor, nn


class Contrastive(PairDistillation):
    """Pull the student's embedding of an example to the teacher's of the same one, away from those of other classes.

    loss = ce_weight * CE + kd_weight * (NCE(student against teacher's memory) + NCE(teacher against student's memory))
    NCE = -1/B * sum_i [ log P_i0 / (P_i0 + K/n) + sum over K negatives of log (K/n) / (P_ik + K/n) ]
    P_ik = exp(<e_i, m_k> / contrast_temperature) / Z

    e (B, embedding_size): linear maps of both networks' embeddings, of length 1; m: rows of a memory (n,
    embedding_size) that has every training example's latest embedding in the other network, mixed with older ones by
    `memory_momentum`; row 0 is the example's own. Z is the mean of exp over the first batch, times n. Both linear maps
    are trained and dropped. Taps what the classifier sees by default.

    Negatives are drawn from the training examples of other classes (of the first output), without repetition, anew in
    each step; no more than there are. Two memories of n * embedding_size numbers go to the device, and each step takes
    some (B, n) numbers: 13 MB each for CIFAR-100 at B = 64, where gathering the rows takes 537 MB.

    Paper: Tian, Krishnan, Isola 2020, "Contrastive Representation Distillation", section 3, with the constants of its
    CIFAR-100 experiments. "CRD+KD" of its tables is `soft_weight: 1`. The order of draws is ours, so runs of the
    authors' code cannot be repeated to the bit. With `shuffled` the memory of the teacher holds neighbours' embeddings.
    """

    kinds: ClassVar[frozenset[str]] = EVERY_KIND - {"values"}
    by_kind: ClassVar[Mapping[str, str]] = {
        "multilabel": "negatives are examples that share no label",
        "values": "values have no classes whose examples could be told apart",
        **{
            kind: f"{how}; negatives are all other examples"
            for kind, how in {**ON_EMBEDDINGS, "embedding": "on the embedding"}.items()
        },
    }
    paper: ClassVar[str] = "Tian, Krishnan, Isola 2020, Contrastive Representation Distillation, section 3"
    on_examples: ClassVar[bool] = True
    tap: ClassVar[Literal["embedding"]] = "embedding"

    kd_weight: float = Field(0.8, ge=0)
    """Weight of the term; 0.8 in the paper's CIFAR-100 experiments."""
    embedding_size: int = Field(128, gt=0)
    """Number of dimensions of the linear embeddings."""
    negative_count: int = Field(16384, gt=0)
    """K, the most negatives for an example; bounded by the training split's examples of other classes."""
    contrast_temperature: float = Field(0.07, gt=0)
    """Divides the inner products of embeddings; it is not the temperature of soft distillation."""
    memory_momentum: float = Field(0.5, ge=0, lt=1)
    """Share of the old embedding that a memory's row keeps when its example is seen again."""

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module:
        import torch

        from kdbench.techniques.relations._contrast import Contrast, most_negatives

        if ctx.task.outputs[0].kind in ("classes", "multilabel"):
            targets = torch.cat([batch.targets[0] for batch in ctx.train])
        else:
            targets = torch.arange(ctx.task.example_counts["train"])  # every example is a class of its own
        if most_negatives(targets) == 0:
            raise TechniqueError("contrastive needs negatives, but all training examples are of one class.")
        return Contrast(
            student[0],
            teacher[0],
            self.embedding_size,
            targets.cpu(),
            self.negative_count,
            self.contrast_temperature,
            self.memory_momentum,
        )

    def term(self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None) -> Tensor:
        assert adapters is not None
        term: Tensor = adapters(student[0], teacher[0], batch.index)
        return term
