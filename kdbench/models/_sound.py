"""What networks of sound share: padding that says nothing, and last layers for what is told about a recording."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models._heads import head
from kdbench.models._ragged_norm import over_own_places, own_places
from kdbench.protocols import Output


def shortened(lengths: Tensor | None, stride: int) -> Tensor | None:
    """How many places are each example's own behind a layer that makes ceil(n / stride) of n."""
    return lengths if lengths is None else (lengths + stride - 1) // stride


def silenced(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (B, ..., T) with 0 behind the end of each example: what a convolution finds beyond the end of one alone."""
    if lengths is None:
        return x
    return x * own_places(x, lengths).view(x.shape[0], *[1] * (x.dim() - 2), x.shape[-1])


class RaggedNorm1d(nn.BatchNorm1d):
    """BatchNorm of (B, C, T) whose statistics, while training, are those of the examples' own places alone."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None or not self.training:
            return super().forward(x)
        return over_own_places(self, x, lengths)


class RaggedNorm2d(nn.BatchNorm2d):
    """BatchNorm of (B, C, bands, T) whose statistics, while training, are those of the examples' own places alone."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None or not self.training:
            return super().forward(x)
        return over_own_places(self, x, lengths)


class Layer(nn.Sequential):
    """Modules one after the other, of which a norm is told how long each example is."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        for module in self:
            x = module(x, lengths) if isinstance(module, RaggedNorm1d | RaggedNorm2d) else module(x)
        return x


class MeanOverTime(nn.Module):
    """(B, ..., T) -> (B, ...): the mean over an example's own places, in numbers (B, D)."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return x.mean(-1).flatten(1)
        count = lengths.clamp_min(1).to(x.dtype).view(-1, *[1] * (x.dim() - 2))
        return (silenced(x, lengths).sum(-1) / count).flatten(1)


class SoundHeads(nn.Module):
    """Frames (B, width, T) -> one tensor an output: (B, T, K) of a sequence, (B, K) of what a recording is."""

    def __init__(self, width: int, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.of_frames = [output.kind == "sequence" for output in outputs]
        self.pool = MeanOverTime()
        self.heads = nn.ModuleList(
            nn.Linear(width, output.class_count) if output.kind == "sequence" else head(width, output)
            for output in outputs
        )

    def forward(self, frames: Tensor, lengths: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        steps = frames.transpose(1, 2)
        pooled = self.pool(frames, lengths)
        found = tuple(one(steps if of else pooled) for one, of in zip(self.heads, self.of_frames, strict=True))
        return found[0] if len(found) == 1 else found
