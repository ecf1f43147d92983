"""A recurrent network for recordings, as a declaration; its network is in `_audio_lstm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.models.sounds import halvings, picture_of
from kdbench.protocols import Layers, Model, TaskDescription
from kdbench.protocols.model import TapKind

if TYPE_CHECKING:
    from torch import nn


class AudioLSTM(Model):
    """Frames read one after the other by LSTM or GRU layers; then their mean, or a class for each step (CTC).

    Strided convolutions in front (3 frames, stride 2) halve the number of steps. Reading both ways, each recording is
    turned about its own end, so that padding is read last in either direction and says nothing.
    Layers to tap: `front.0` ... (B, width, steps), `layers.0` ... (B, steps, width), `classifier.pool` (B, width).

    Papers: Hochreiter and Schmidhuber 1997; Cho et al. 2014 (GRU); Graves and Schmidhuber 2005 (both ways); Graves et
    al. 2006 for CTC on top.
    """

    version: ClassVar[int] = 3

    cell: Literal["lstm", "gru"] = "lstm"
    """`gru` has three gates' weights in place of four, so a layer is a quarter smaller."""
    width: int = Field(64, gt=0)
    """Units of a layer, in each direction."""
    depth: int = Field(1, gt=0)
    """Recurrent layers."""
    both_ways: bool = False
    """Whether each layer also reads from the end to the beginning; an answer then has to wait for the end."""
    halved: int = Field(1, ge=0, le=3)
    """How often the front halves the number of steps. A task with a sequence says it itself, by `subsampling`."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Behind each recurrent layer."""

    def layers(self) -> Layers:
        kinds: dict[str, TapKind] = {"front": "time_map", "layers": "frames", "classifier.pool": "vector"}
        stages = tuple(f"layers.{number}" for number in range(self.depth))
        return Layers(stages=stages, embedding="classifier.pool", kinds=kinds)

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for inputs that are no log-mel features, and for outputs that it has no layer for."""
        from kdbench.models._audio_lstm import AudioLSTMNetwork

        sound = picture_of("audio_lstm", task)
        times = halvings("audio_lstm", sound, self.halved)
        return AudioLSTMNetwork(
            sound.bands, self.width, self.depth, self.both_ways, times, self.dropout, task.outputs, self.cell
        )
