"""A network of convolutions over time, as a declaration; its network is in `_audio_tcn`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt, field_validator

from kdbench.errors import ModelError
from kdbench.models.sounds import halvings, sound_of
from kdbench.protocols import Layers, Model, TaskDescription
from kdbench.protocols.model import TapKind

if TYPE_CHECKING:
    from torch import nn


class AudioTCN(Model):
    """Convolutions over time, dilated and residual; then the mean over time, or a class for each step (CTC).

    Of log-mel features the bands are the channels. Of samples a first convolution of `window` samples, `hop` apart,
    takes the place of features and is learnt. Strided convolutions halve the number of steps. Behind the end of each
    recording every layer finds zeros, as at the end of one alone; BatchNorm's statistics while training leave them out.
    Layers to tap: `front.0` ... and `blocks.0` ... (B, width, steps), `classifier.pool` (B, width).

    Papers: Bai, Kolter, Koltun 2018, section 3, but not causal and with BatchNorm; Graves et al. 2006 for CTC on top.
    """

    version: ClassVar[int] = 3

    width: int = Field(64, gt=0)
    """Channels."""
    kernel: int = Field(5, gt=0)
    """Steps that a convolution sees; odd."""
    dilations: tuple[PositiveInt, ...] = (1, 2, 4, 8)
    """How far apart those steps lie, for each residual block in order."""
    halved: int = Field(2, ge=1, le=4)
    """How often strided convolutions halve the number of steps. A task with a sequence says it itself, by
    `subsampling`."""
    window: int = Field(201, gt=0)
    """How many samples the first convolution sees; odd. 201 are 25 ms at 8 kHz."""
    hop: int = Field(80, gt=0)
    """How many samples lie between two of its looks. 80 are 10 ms at 8 kHz."""

    @field_validator("kernel", "window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd, so that a step has as much before it as behind it; got {value}")
        return value

    def layers(self) -> Layers:
        blocks = tuple(f"blocks.{number}" for number in range(len(self.dilations)))
        kinds: dict[str, TapKind] = {"front": "time_map", "blocks": "time_map", "classifier.pool": "vector"}
        return Layers(stages=blocks, embedding="classifier.pool", kinds=kinds)

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for inputs that are no sound, and for outputs that it has no layer for."""
        from kdbench.models._audio_tcn import AudioTCNNetwork

        sound = sound_of("audio_tcn", task)
        if sound.subsampling is not None and not sound.is_picture:
            raise ModelError("audio_tcn learns sequences from log-mel features only; say `inputs: [log_mel]`.")
        times = halvings("audio_tcn", sound, self.halved)
        first = [] if sound.is_picture else [(1, self.width, self.window, self.hop)]
        sizes = [sound.bands if sound.is_picture else self.width, *[self.width] * times]
        front = [*first, *((before, after, self.kernel, 2) for before, after in pairwise(sizes))]
        if not front:
            raise ModelError("audio_tcn halves time at least once; say `subsampling: 2` or more.")
        return AudioTCNNetwork(sound.is_picture, front, self.kernel, self.dilations, task.outputs)
