"""A small convolutional network for recordings, as a declaration; its network is in `_audio_cnn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from kdbench.models.sounds import picture_of
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class AudioCNN(Model):
    """Stages of 3x3 convolution, BatchNorm, ReLU and 2x2 max pooling, the mean over time, and a linear classifier.

    Frequencies are kept apart: the classifier sees channels x bands, since where a sound lies on the mel scale says
    what it is. Recordings may have lengths of their own: behind the end of each every layer finds zeros, as at the end
    of one alone, and the mean is over its own frames, as are BatchNorm's statistics while training.
    Layers to tap: `layer1`, `layer2`, ... (B, channels, bands, frames), `pool` (B, channels * bands), `classifier`.
    """

    version: ClassVar[int] = 3

    channels: tuple[PositiveInt, ...] = Field((16, 32, 64, 64), min_length=1)
    """Output channels of each stage; every stage halves bands and frames."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Before the classifier."""

    def layers(self) -> Layers:
        stages = tuple(f"layer{number}" for number in range(1, len(self.channels) + 1))
        return Layers(
            stages=stages,
            preactivations=tuple(f"{stage}.2" for stage in stages),
            embedding="pool",
            kinds={**dict.fromkeys(stages, "time_map"), "pool": "vector"},
        )

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for inputs that are no log-mel features, and for outputs of places."""
        from kdbench.models._audio_cnn import AudioCNNNetwork

        sound = picture_of("audio_cnn", task)
        return AudioCNNNetwork(sound.bands, self.channels, self.dropout, task.outputs)
