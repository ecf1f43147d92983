"""The network of `audio_cnn`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.models._sound import Layer, MeanOverTime, RaggedNorm2d, shortened, silenced
from kdbench.protocols import Output


class AudioCNNNetwork(nn.Module):
    """(B, 1, bands, frames) -> what the outputs give: `layer1`, `layer2`, ..., `pool`, `classifier`."""

    def __init__(self, bands: int, channels: Sequence[int], dropout: float, outputs: Sequence[Output]) -> None:
        super().__init__()
        before = 1
        self.names = [f"layer{number}" for number in range(1, len(channels) + 1)]
        for name, width in zip(self.names, channels, strict=True):
            conv = nn.Conv2d(before, width, 3, padding=1, bias=False)  # BatchNorm adds its own bias right after
            self.add_module(name, Layer(conv, RaggedNorm2d(width), nn.ReLU()))
            before, bands = width, -(-bands // 2)
        self.halve = nn.MaxPool2d(2, ceil_mode=True)
        self.pool = MeanOverTime()
        self.dropout = nn.Dropout(dropout)
        self.classifier = last_layer(before * bands, outputs)

    def forward(self, pictures: Tensor, lengths: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = silenced(pictures, lengths)
        for name in self.names:
            x = self.halve(silenced(self.get_submodule(name)(x, lengths), lengths))
            lengths = shortened(lengths, 2)
        answer: Tensor | tuple[Tensor, ...] = self.classifier(self.dropout(self.pool(x, lengths)))
        return answer
