"""DistilBERT: the student's last hidden states point where the teacher's do, beside softened outputs and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.techniques.transformer_distillation import Part, Tokens, TransformerDistillation

if TYPE_CHECKING:
    from torch import Tensor, nn


class DistilBert(TransformerDistillation):
    """Match the directions of the last hidden states, token by token; padding counts nowhere.

    loss = ce_weight * CE + soft_weight * T^2 KL(t / T, s / T) + kd_weight * mean over real tokens of 1 - cos(s, t)

    s, t: hidden states (B, L, d) of the last block in student and teacher, whose widths d must be equal.

    Paper: Sanh et al. 2019, "DistilBERT, a distilled version of BERT", section 3; the weights 2, 5, 1 and T = 2 are
    those of its published code. Where we differ: there it is language modelling, whose place the labels take here. The
    paper's student begins with every other block of the teacher (technique `inherit`).
    """

    paper: ClassVar[str] = "Sanh et al. 2019, DistilBERT, a distilled version of BERT, section 3"

    ce_weight: float = Field(2.0, ge=0)
    """Weight of the cross-entropy to the labels."""
    soft_weight: float = Field(5.0, ge=0)
    """Weight of soft distillation on the outputs, beside the cosine; not multiplied by kd_weight."""
    temperature: float = Field(2.0, gt=0)
    """T of soft distillation; without effect while soft_weight is 0."""

    def reads(self) -> frozenset[Part]:
        return frozenset({"hidden"})

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        return [(student - 1, teacher - 1)]

    def check(self, student: Tokens, teacher: Tokens) -> None:
        own, its = student["hidden"][0].shape[2], teacher["hidden"][0].shape[2]
        if own != its:
            raise TechniqueError(
                f"the student's hidden states have {own} numbers and the teacher's {its}, and {self.label()} compares "
                "directions; use tinybert, which has a linear map in between, or a student of the teacher's width."
            )

    def inner_terms(
        self, student: Tokens, teacher: Tokens, real: Tensor, adapters: nn.Module | None
    ) -> dict[str, Tensor]:
        import torch

        from kdbench import functional as F

        both = zip(student["hidden"], teacher["hidden"], strict=True)
        return {self.label(): torch.stack([F.hidden_cosine(s, t, real) for s, t in both]).sum()}
