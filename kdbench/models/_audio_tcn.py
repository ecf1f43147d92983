"""The network of `audio_tcn`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._sound import RaggedNorm1d, SoundHeads, shortened, silenced
from kdbench.protocols import Output


class Strided(nn.Module):
    """A convolution over time, BatchNorm and ReLU: ceil(n / stride) of n places."""

    def __init__(self, before: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(before, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm, self.relu = RaggedNorm1d(width), nn.ReLU()

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        found: Tensor = self.relu(self.norm(self.conv(x), lengths))
        return found


class Dilated(nn.Module):
    """A dilated convolution over time, BatchNorm and ReLU, beside a shortcut."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.conv = nn.Conv1d(width, width, kernel, padding=reach, dilation=dilation, bias=False)
        self.norm, self.relu = RaggedNorm1d(width), nn.ReLU()

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        found: Tensor = x + self.relu(self.norm(self.conv(x), lengths))
        return found


class AudioTCNNetwork(nn.Module):
    """(B, 1, bands, frames) or (B, 1, samples) -> what the outputs give.

    Its layers: `front.0`, ..., `blocks.0`, ..., `classifier`.
    """

    def __init__(
        self,
        is_picture: bool,
        front: Sequence[tuple[int, int, int, int]],
        kernel: int,
        dilations: Sequence[int],
        outputs: Sequence[Output],
    ) -> None:
        """front: of each strided convolution (channels before, after, kernel, stride)."""
        super().__init__()
        self.is_picture = is_picture
        self.strides = [stride for *_, stride in front]
        self.front = nn.ModuleList(Strided(*sizes) for sizes in front)
        width = front[-1][1]
        self.blocks = nn.ModuleList(Dilated(width, kernel, dilation) for dilation in dilations)
        self.classifier = SoundHeads(width, outputs)

    def forward(self, sound: Tensor, lengths: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = silenced(sound.squeeze(1) if self.is_picture else sound, lengths)
        for layer, stride in zip(self.front, self.strides, strict=True):
            lengths = shortened(lengths, stride)
            x = silenced(layer(x, lengths), lengths)
        for block in self.blocks:
            x = silenced(block(x, lengths), lengths)
        answer: Tensor | tuple[Tensor, ...] = self.classifier(x, lengths)
        return answer
