"""MiniLM: the student's last attention learns the teacher's distributions and how its values are related."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.techniques.transformer_distillation import Part, Tokens, TransformerDistillation

if TYPE_CHECKING:
    from torch import Tensor, nn


class MiniLM(TransformerDistillation):
    """Match the attention distributions and the value relations of the last block; padding counts nowhere.

    loss = ce_weight * CE + soft_weight * soft + kd_weight * (attention_weight * AT + value_weight * VR)

    AT: KL(softmax(q k^T / sqrt(d_k)) of the teacher || the student's); VR: the same of softmax(v v^T / sqrt(d_k)). The
    softmax is over a sentence's n real tokens; KL is summed over heads h and real queries, divided by h n, and averaged
    over sentences. Widths and depths may differ, heads may not; nothing is trained beside the student.

    Paper: Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation", section 3. Where we differ: there it is learned
    from unlabelled text, before any labels (`ce_weight: 0`); here beside them.
    """

    paper: ClassVar[str] = "Wang et al. 2020, MiniLM: Deep Self-Attention Distillation, section 3"

    attention_weight: float = Field(1.0, ge=0)
    """Weight of the attention distributions."""
    value_weight: float = Field(1.0, ge=0)
    """Weight of the value relations."""

    @model_validator(mode="after")
    def _something_to_match(self) -> Self:
        if self.attention_weight == self.value_weight == 0:
            raise ValueError("attention_weight and value_weight are both 0, so there is nothing to match; raise one")
        return self

    def reads(self) -> frozenset[Part]:
        attention: tuple[Part, ...] = ("query", "key") if self.attention_weight else ()
        values: tuple[Part, ...] = ("value",) if self.value_weight else ()
        return frozenset((*attention, *values))

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        return [(student - 1, teacher - 1)]

    def check(self, student: Tokens, teacher: Tokens) -> None:
        own, its = (next(iter(tokens.parts.values()))[0].shape[2] // tokens.head_size for tokens in (student, teacher))
        if own != its:
            raise TechniqueError(
                f"the student has {own} heads and the teacher {its}, and minilm matches head by head; use minilm2, "
                "whose relations have heads of their own."
            )

    def inner_terms(
        self, student: Tokens, teacher: Tokens, real: Tensor, adapters: nn.Module | None
    ) -> dict[str, Tensor]:
        import torch

        from kdbench import functional as F

        found: dict[str, list[Tensor]] = {"attention": [], "values": []}
        for block in range(len(next(iter(student.parts.values())))):
            if self.attention_weight:
                mine, taught = (
                    F.attention_scores(side.in_heads("query", block), side.in_heads("key", block))
                    for side in (student, teacher)
                )
                found["attention"].append(self.attention_weight * F.attention_divergence(mine, taught, real))
            if self.value_weight:
                own, its = student["value"][block], teacher["value"][block]
                heads = own.shape[2] // student.head_size
                found["values"].append(self.value_weight * F.relation_divergence(own, its, real, heads))
        return {name: torch.stack(terms).sum() for name, terms in found.items() if terms}
