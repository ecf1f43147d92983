"""TinyBERT: the student learns the teacher's embeddings, hidden states and attention scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.techniques.transformer_distillation import Part, Rule, Tokens, TransformerDistillation, pairs

if TYPE_CHECKING:
    from torch import Tensor, nn


class TinyBert(TransformerDistillation):
    """Match embeddings, hidden states and attention scores, block by block; padding counts nowhere.

    loss = ce_weight * CE + soft_weight * soft + kd_weight * (embedding_weight * E + hidden_weight * H +
           attention_weight * A)

    E: squared error of the embeddings' outputs, mean over real tokens and the teacher's d_t numbers, the student's
    (B, L, d_s) behind a linear map d_s -> d_t; H: the same of hidden states, summed over the matched blocks, each with
    a map of its own; A: squared error of q k^T / sqrt(d_k), before the softmax, mean over heads, real queries and real
    keys of each sentence, then over sentences; summed over blocks. The maps are trained beside the student and dropped.
    A weight of 0 leaves its part out.

    Paper: Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", section 3.1. Where we
    differ: there the blocks are learned first and the outputs afterwards; here all terms are in one training, with the
    labels (`ce_weight: 0, soft_weight: 1, temperature: 1` are the paper's). Published code has one map for all blocks,
    and compares padding, too.
    """

    paper: ClassVar[str] = "Jiao et al. 2020, TinyBERT, section 3.1"

    hidden_weight: float = Field(1.0, ge=0)
    """Weight of the hidden states."""
    attention_weight: float = Field(1.0, ge=0)
    """Weight of the attention scores."""
    embedding_weight: float = Field(1.0, ge=0)
    """Weight of the embeddings' output."""
    layer_map: Rule = "uniform"
    """Which blocks are matched: `uniform` the student's m with the teacher's m N / M, `skip` the same without the top
    one, `last` and `first` with the teacher's last or first."""
    heads: Literal["each", "mean"] = "each"
    """Attention head by head, for which both need equally many; or the mean of the scores over all heads."""

    @model_validator(mode="after")
    def _something_to_match(self) -> Self:
        if self.hidden_weight == self.attention_weight == self.embedding_weight == 0:
            raise ValueError(
                "hidden_weight, attention_weight and embedding_weight are all 0, so there is nothing to match; "
                "raise one"
            )
        return self

    def reads(self) -> frozenset[Part]:
        found: set[Part] = set()
        if self.hidden_weight:
            found.add("hidden")
        if self.attention_weight:
            found |= {"query", "key"}
        if self.embedding_weight:
            found.add("embeddings")
        return frozenset(found)

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        return pairs(self.layer_map, student, teacher)

    def check(self, student: Tokens, teacher: Tokens) -> None:
        if not self.attention_weight or self.heads == "mean":
            return
        counts = [tokens["query"][0].shape[2] // tokens.head_size for tokens in (student, teacher)]
        if counts[0] != counts[1]:
            raise TechniqueError(
                f"the student has {counts[0]} heads and the teacher {counts[1]}, so attention cannot be matched head "
                "by head; say `heads: mean`, or use minilm2, whose relations have heads of their own."
            )

    def adapters(self, student: Tokens, teacher: Tokens) -> nn.Module | None:
        from torch import nn

        maps = nn.ModuleDict()
        for part in ("embeddings", "hidden"):
            if part in student.parts:
                sides = zip(student.parts[part], teacher.parts[part], strict=True)
                maps[part] = nn.ModuleList(nn.Linear(own.shape[2], its.shape[2]) for own, its in sides)
        return maps or None

    def inner_terms(
        self, student: Tokens, teacher: Tokens, real: Tensor, adapters: nn.Module | None
    ) -> dict[str, Tensor]:
        import torch

        from kdbench import functional as F

        found: dict[str, Tensor] = {}
        weights = {"embeddings": self.embedding_weight, "hidden": self.hidden_weight}
        for part, maps in adapters.named_children() if adapters is not None else ():
            trios = zip(maps.children(), student.parts[part], teacher.parts[part], strict=True)
            found[part] = weights[part] * torch.stack([F.hidden_states(m(s), t, real) for m, s, t in trios]).sum()
        if self.attention_weight:
            scores = zip(self._scores(student), self._scores(teacher), strict=True)
            found["attention"] = (
                self.attention_weight * torch.stack([F.score_matching(s, t, real) for s, t in scores]).sum()
            )
        return found

    def _scores(self, tokens: Tokens) -> list[Tensor]:
        """(B, h, L, L) a block; of the mean over heads h is 1."""
        from kdbench import functional as F

        scores = [
            F.attention_scores(tokens.in_heads("query", block), tokens.in_heads("key", block))
            for block in range(len(tokens["query"]))
        ]
        return scores if self.heads == "each" else [each.mean(1, keepdim=True) for each in scores]
