"""MiniLMv2: the student learns how the teacher's queries, keys and values are related, in relation heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.techniques.transformer_distillation import Part, Tokens, TransformerDistillation

if TYPE_CHECKING:
    from torch import Tensor, nn


class MiniLM2(TransformerDistillation):
    """Match the relations between queries, between keys and between values; padding counts nowhere.

    loss = ce_weight * CE + soft_weight * soft +
           kd_weight * (query_weight * R_q + key_weight * R_k + value_weight * R_v)

    R_x: KL(softmax(x x^T / sqrt(d_r)) of the teacher || the student's); x: the queries, keys or values of all heads
    side by side, split anew into A relation heads of d_r = d / A numbers. The softmax is over a sentence's n real
    tokens; KL is summed over relation heads and real tokens, divided by A n, and averaged over sentences. Heads, widths
    and depths may all differ; nothing is trained beside the student. The student's last block learns from the
    teacher's `teacher_block`.

    Paper: Wang et al. 2021, "MiniLMv2: Multi-Head Self-Attention Relation Distillation", section 3. There the
    teacher's block is the last of a base model and an upper middle one of a large model, and relation heads are 24 to
    64; it is learned from unlabelled text, before any labels (`ce_weight: 0`); here beside them.
    """

    paper: ClassVar[str] = "Wang et al. 2021, MiniLMv2: Multi-Head Self-Attention Relation Distillation, section 3"

    query_weight: float = Field(1.0, ge=0)
    """Weight of the relations between queries."""
    key_weight: float = Field(1.0, ge=0)
    """Weight of the relations between keys."""
    value_weight: float = Field(1.0, ge=0)
    """Weight of the relations between values."""
    relation_heads: int = Field(4, gt=0)
    """In how many parts queries, keys and values are split; it divides both widths."""
    teacher_block: int = Field(0, ge=0)
    """Which of the teacher's blocks teaches, counted from the top: 0 is the last."""

    @model_validator(mode="after")
    def _something_to_match(self) -> Self:
        if self.query_weight == self.key_weight == self.value_weight == 0:
            raise ValueError(
                "query_weight, key_weight and value_weight are all 0, so there is nothing to match; raise one"
            )
        return self

    def weights(self) -> dict[Part, float]:
        """The relations that count."""
        found: dict[Part, float] = {"query": self.query_weight, "key": self.key_weight, "value": self.value_weight}
        return {part: weight for part, weight in found.items() if weight}

    def reads(self) -> frozenset[Part]:
        return frozenset(self.weights())

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        if self.teacher_block >= teacher:
            raise TechniqueError(f"teacher_block {self.teacher_block}: the teacher has {teacher} blocks; lower it.")
        return [(student - 1, teacher - 1 - self.teacher_block)]

    def check(self, student: Tokens, teacher: Tokens) -> None:
        for whose, side in (("student", student), ("teacher", teacher)):
            width = next(iter(side.parts.values()))[0].shape[2]
            if width % self.relation_heads:
                raise TechniqueError(
                    f"relation_heads {self.relation_heads} does not divide the {whose}'s width of {width}; take a "
                    "divisor of both widths."
                )

    def inner_terms(
        self, student: Tokens, teacher: Tokens, real: Tensor, adapters: nn.Module | None
    ) -> dict[str, Tensor]:
        import torch

        from kdbench import functional as F

        def relation(part: Part) -> Tensor:
            both = zip(student[part], teacher[part], strict=True)
            return torch.stack([F.relation_divergence(s, t, real, self.relation_heads) for s, t in both]).sum()

        return {f"{part} relations": weight * relation(part) for part, weight in self.weights().items()}
