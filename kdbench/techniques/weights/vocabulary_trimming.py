"""Vocabulary trimming: embeddings of tokens that the training split does not have are removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Context, Effect, TaskDescription, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn


class VocabularyTrimming(Technique):
    """Keep the embeddings of tokens that occur in the training split; every other token becomes one unknown token.

    A table old id -> row stands in the file, 4 bytes a token: the tokenizer stays as it is, and texts are given as
    before. The unknown token is the tokenizer's own where it has one ([UNK], <unk>), else a row of its own, the mean
    of those that went. Nothing is trained: a text whose tokens all stay is answered as before. The row's notes say how
    many of the validation split's tokens became unknown.

    Paper: Abdaoui et al. 2020, "Load What You Need: Smaller Versions of Multilingual BERT", section 2. There the
    tokenizer is cut as well, so that unknown words are written in the pieces that stay.
    """

    paper: ClassVar[str] = "Abdaoui et al. 2020, Load What You Need: Smaller Versions of Multilingual BERT, section 2"
    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "texts"
    family: ClassVar[str] = "pruning"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery"})
    roles: ClassVar[frozenset[str]] = frozenset()

    least_count: int = Field(1, gt=0)
    """How often a token occurs in the training split at least, to stay."""

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where every token stays."""
        from kdbench.techniques.weights._vocabulary import trim

        return trim(model, ctx, self.least_count)

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        from kdbench.techniques.weights._vocabulary import with_tables

        return with_tables(network, state)

    def problem(self, model: Any, ctx: Context) -> str | None:
        from torch import nn

        path = ctx.student_layers.vocabulary
        found = dict(model.named_modules()).get(path)
        if not path or type(found) is not nn.Embedding:
            return "the model's architecture names no embedding of a vocabulary (`Layers.vocabulary`)."
        return None
