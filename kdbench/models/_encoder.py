"""The network of `encoder`."""

import math

from torch import Tensor, nn

SEGMENTS = 2
MASKED = -1e4
"""Added to the scores of padding: e to it is 0 in every precision, and integers still have room beside it (-inf or the
least float leave 8 bits none)."""


class Attention(nn.Module):
    """Multi-head attention from tokens to tokens, (B, L, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head_size = width // heads  # of pruned heads none is left, and the others stay as they are
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, added: Tensor) -> Tensor:
        """added: (B, 1, 1, L), 0 at real tokens and MASKED at padding."""
        query, key, value = (
            layer(x).unflatten(2, (-1, self.head_size)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(self.head_size) + added
        mixed: Tensor = self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return mixed


class Layer(nn.Module):
    """Attention and two linear layers, each beside a shortcut."""

    def __init__(self, width: int, heads: int, inner_width: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, inner_width), nn.Linear(inner_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, added: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm1(x), added))
            out: Tensor = x + self.dropout(self.inner(self.norm2(x)))
            return out
        x = self.norm1(x + self.dropout(self.attention(x, added)))
        out = self.norm2(x + self.dropout(self.inner(x)))
        return out

    def inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(nn.functional.gelu(self.wide(x)))
        return out


class Pool(nn.Module):
    """A text's numbers (B, width) from its tokens'."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, L, width); mask: (B, L, 1), 1 at real tokens."""
        if not self.mean:
            return x[:, 0]
        return (x * mask).sum(1) / mask.sum(1).clamp_min(1)


class EncoderNetwork(nn.Module):
    """Ids (and segments) with a mask to one tensor an output: (B, K), or (B, L, K) for tokens."""

    def __init__(
        self,
        roles: tuple[str, ...],
        sizes: tuple[int, int, int, int, int, int],
        dropout: float,
        norm_first: bool,
        mean: bool,
        heads: tuple[tuple[bool, int], ...],
    ) -> None:
        """roles: of the inputs, in order; sizes: ids, positions, width, depth, attention heads, inner width.

        heads: for each output whether it is one of tokens, and its classes.
        """
        super().__init__()
        ids, positions, width, depth, attention_heads, inner_width = sizes
        self.roles = roles
        self.tokens, self.positions = nn.Embedding(ids, width), nn.Embedding(positions, width)
        self.segments = nn.Embedding(SEGMENTS, width) if "segments" in roles else None
        self.embedded = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Layer(width, attention_heads, inner_width, dropout, norm_first) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.pool = Pool(mean)
        self.dropout = nn.Dropout(dropout)
        self.of_tokens = [is_of_tokens for is_of_tokens, _ in heads]
        self.heads = nn.ModuleList(nn.Linear(width, count) for _, count in heads)
        for embedding in (self.tokens, self.positions, *([self.segments] if self.segments is not None else [])):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = dict(zip(self.roles, inputs, strict=True))
        ids, mask = given["values"], given["mask"].to(self.norm.weight.dtype)
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        if self.segments is not None:
            x = x + self.segments(given["segments"])
        x = self.embedded(x)
        added = ((1 - mask) * MASKED)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, added)
        x = self.norm(x)
        pooled = self.dropout(self.pool(x, mask[:, :, None]))
        pairs = zip(self.heads, self.of_tokens, strict=True)
        outputs = tuple(head(x if is_of_tokens else pooled) for head, is_of_tokens in pairs)
        return outputs[0] if len(outputs) == 1 else outputs
