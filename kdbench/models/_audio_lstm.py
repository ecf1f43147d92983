"""The network of `audio_lstm`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kdbench.models._sound import Layer, RaggedNorm1d, SoundHeads, shortened, silenced
from kdbench.protocols import Output


class Recurrent(nn.Module):
    """One recurrent layer, (B, T, before) -> (B, T, width), or 2 * width where it reads both ways."""

    def __init__(self, before: int, width: int, both_ways: bool, cell: str) -> None:
        super().__init__()
        of: type[nn.LSTM] | type[nn.GRU] = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.forwards = of(before, width, batch_first=True)
        self.backwards = of(before, width, batch_first=True) if both_ways else None

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        ahead: Tensor = self.forwards(x)[0]
        if self.backwards is None:
            return ahead
        back: Tensor = turned(self.backwards(turned(x, lengths))[0], lengths)
        return torch.cat([ahead, back], 2)


def turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each example of x (B, T, D) from its own end to its beginning; its padding stays behind it.

    A layer that read the padded row from its end would have heard the padding before the first word.
    """
    if lengths is None:
        return x.flip(1)
    places = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    ends = lengths[:, None]
    order = torch.where(places < ends, ends - 1 - places, places)
    return x.gather(1, order[:, :, None].expand(x.shape))


class AudioLSTMNetwork(nn.Module):
    """(B, 1, bands, frames) -> what the outputs give: `front`, `layers.0`, ..., `classifier`."""

    def __init__(
        self,
        bands: int,
        width: int,
        depth: int,
        both_ways: bool,
        halvings: int,
        dropout: float,
        outputs: Sequence[Output],
        cell: str = "lstm",
    ) -> None:
        super().__init__()
        sizes = [bands, *[width] * halvings]
        self.front = nn.ModuleList(
            Layer(nn.Conv1d(before, after, 3, 2, padding=1, bias=False), RaggedNorm1d(after), nn.ReLU())
            for before, after in pairwise(sizes)
        )
        wide = width * (2 if both_ways else 1)
        self.layers = nn.ModuleList(
            Recurrent(sizes[-1] if number == 0 else wide, width, both_ways, cell) for number in range(depth)
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = SoundHeads(wide, outputs)

    def forward(self, pictures: Tensor, lengths: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = silenced(pictures.squeeze(1), lengths)
        for layer in self.front:
            lengths = shortened(lengths, 2)
            x = silenced(layer(x, lengths), lengths)
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = self.dropout(layer(x, lengths))
        answer: Tensor | tuple[Tensor, ...] = self.classifier(x.transpose(1, 2), lengths)
        return answer
