"""A bag of tokens and pairs of tokens, as a declaration: the line that a text model has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kdbench.models.inputs import text_inputs
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class BagOfTokens(Model):
    """The mean of embeddings of a text's tokens, and of its pairs of neighbours, and a linear layer on top.

    A pair (a, b) is embedding number (a * 1,000,003 + b) modulo `pairs`; the first token is paired with nothing. Order
    beyond neighbours is not seen. It takes a task with ids and a mask, of any length.

    Paper: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification" (fastText), section 2.
    """

    width: int = Field(10, gt=0)
    """Numbers an embedding; 10 in the paper's section 3.1."""
    pairs: int = Field(0, ge=0)
    """How many embeddings pairs of neighbours share; 0 leaves pairs out."""

    def layers(self) -> Layers:
        return Layers(embedding="mean", vocabulary="tokens", kinds={"mean": "vector"})

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for a task without ids and a mask, or with outputs that are not one answer a text."""
        from kdbench.models._bag_of_tokens import BagNetwork
        from kdbench.models._heads import last_layer

        ids, _ = text_inputs("bag_of_tokens", task)
        assert ids.values is not None, "text_inputs refuses it"
        roles = tuple(one.role for one in task.inputs)
        return BagNetwork(roles, ids.values, self.pairs, self.width, last_layer(self.width, task.outputs))
