"""Patient distillation (PKD): the student's first token learns the direction of the teacher's, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.errors import TechniqueError
from kdbench.techniques.transformer_distillation import Part, Tokens, TransformerDistillation, pairs

if TYPE_CHECKING:
    from torch import Tensor, nn


class Patient(TransformerDistillation):
    """Match the normalised hidden states of the first token ([CLS]) below the top block.

    loss = ce_weight * CE + soft_weight * soft + kd_weight * mean over B of sum over layers |s / |s| - t / |t||^2

    s, t: hidden states (B, d) of the first token in student and teacher, whose widths d must be equal. The top block is
    left out: the classifier reads it, and `soft_weight` teaches that.

    Paper: Sun et al. 2019, "Patient Knowledge Distillation for BERT Model Compression", section 3. Where we differ: the
    authors' code takes the mean over layers and over d, so their beta of 10 to 1000 is times both there. The paper's
    student begins with the teacher's first blocks (technique `inherit`).
    """

    paper: ClassVar[str] = "Sun et al. 2019, Patient Knowledge Distillation for BERT Model Compression, section 3"

    soft_weight: float = Field(1.0, ge=0)
    """Weight of soft distillation on the outputs, beside the method's own term; not multiplied by kd_weight."""
    layer_map: Literal["skip", "last"] = "skip"
    """Which blocks are matched, the top ones left out: `skip` spreads the teacher's evenly (every N / M-th), `last`
    takes those right below its top."""

    def reads(self) -> frozenset[Part]:
        return frozenset({"hidden"})

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        return pairs("skip", student, teacher) if self.layer_map == "skip" else pairs("last", student, teacher)[:-1]

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
        from kdbench import functional as F

        firsts = ([hidden[:, 0] for hidden in side["hidden"]] for side in (student, teacher))
        return {self.label(): F.patient(*firsts)}
