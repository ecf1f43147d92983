"""A small transformer encoder over ids, as a declaration; its network is in `_encoder`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import ModelError
from kdbench.models.inputs import text_inputs
from kdbench.protocols import Layers, Model, TaskDescription
from kdbench.protocols.model import Block, TapKind

if TYPE_CHECKING:
    from torch import nn

KINDS: dict[str, TapKind] = {"embedded": "tokens", "layers": "tokens", "norm": "tokens", "pool": "vector"}


class Encoder(Model):
    """Token and position embeddings, transformer layers with a mask, and a head on the pooled text or on each token.

    It takes a task with an input of ids, a mask, and perhaps segments. Layers to tap: `layers.0` ... (B, L, width),
    their `attention.query`, `attention.key`, `attention.value` (B, L, width) and `norm` (B, L, width).

    Papers: Vaswani et al. 2017, section 3; the norm before each block as in Xiong et al. 2020 (`norm: before`), or
    behind it as in BERT (`after`).
    """

    width: int = Field(128, gt=0)
    """Numbers a token."""
    depth: int = Field(2, gt=0)
    """Layers."""
    heads: int = Field(2, gt=0)
    """Attention heads; they divide the width."""
    inner_width: int | None = Field(None, gt=0)
    """Units between the two linear layers of a block; by default 4 * width."""
    dropout: float = Field(0.1, ge=0, lt=1)
    norm: Literal["before", "after"] = "before"
    """Whether LayerNorm stands before each block or behind it."""
    pooling: Literal["first", "mean"] = "mean"
    """What a text's classes are told from: its first token, or the mean over its own tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        return self

    def layers(self) -> Layers:
        paths = tuple(f"layers.{number}" for number in range(self.depth))
        return Layers(
            stages=paths,
            embedding="pool",
            blocks=tuple(self._block(path) for path in paths),
            embeddings="embedded",
            vocabulary="tokens",
            kinds=KINDS,
        )

    def _block(self, path: str) -> Block:
        attention = {name: f"{path}.attention.{name}" for name in ("query", "key", "value", "out")}
        inner = {name: f"{path}.{name}" for name in ("wide", "narrow")}
        return Block(path=path, **attention, **inner, head_size=self.width // self.heads)

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for a task without ids and a mask, or with outputs that a text cannot have."""
        from kdbench.models._encoder import EncoderNetwork

        ids, _ = text_inputs("encoder", task)
        assert ids.values is not None, "text_inputs refuses it"
        assert ids.symbolic is not None, "text_inputs refuses it"
        other = next((one for one in task.outputs if one.kind not in ("classes", "multilabel", "token_classes")), None)
        if other is not None:
            raise ModelError(f"encoder has no head for an output of kind {other.kind} ('{other.name}').")
        most = task.axis(ids.symbolic).most
        if most is None:
            raise ModelError("encoder needs to know the longest text for its positions: say the axis's `most`.")
        return EncoderNetwork(
            roles=tuple(one.role for one in task.inputs),
            sizes=(ids.values, most, self.width, self.depth, self.heads, self.inner_width or 4 * self.width),
            dropout=self.dropout,
            norm_first=self.norm == "before",
            mean=self.pooling == "mean",
            heads=tuple((one.kind == "token_classes", one.class_count) for one in task.outputs),
        )
