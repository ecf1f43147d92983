"""The network of `bag_of_tokens`."""

import torch
from torch import Tensor, nn

FACTOR = 1_000_003
"""A prime that spreads pairs of ids over the embeddings that they share."""


class Mean(nn.Module):
    """The mean (B, width) over real tokens."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, L, width); mask: (B, L, 1), 1 at real tokens."""
        return (x * mask).sum(1) / mask.sum(1).clamp_min(1)


class BagNetwork(nn.Module):
    """Ids with a mask to what the last layer gives."""

    def __init__(self, roles: tuple[str, ...], ids: int, pairs: int, width: int, last: nn.Module) -> None:
        super().__init__()
        self.roles = roles
        self.tokens = nn.Embedding(ids, width)
        self.pairs = nn.Embedding(pairs, width) if pairs else None
        self.mean = Mean()
        self.last = last
        for embedding in (self.tokens, *([self.pairs] if self.pairs is not None else [])):
            nn.init.uniform_(embedding.weight, -1 / width, 1 / width)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = dict(zip(self.roles, inputs, strict=True))
        ids, mask = given["values"], given["mask"]
        x = self.tokens(ids)
        if self.pairs is not None:
            before = torch.nn.functional.pad(ids[:, :-1], (1, 0))
            x = x + self.pairs((before * FACTOR + ids) % self.pairs.num_embeddings)
        outputs: Tensor | tuple[Tensor, ...] = self.last(self.mean(x, mask.to(x.dtype)[:, :, None]))
        return outputs
