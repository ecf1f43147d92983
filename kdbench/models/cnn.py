"""The small convolutional network, as a declaration; its network is in `_cnn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt, model_validator

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class CNN(Model):
    """Stages of 3x3 convolution, BatchNorm and ReLU, then global average pooling and a linear classifier.

    Layers to tap: `layer1`, `layer2`, ... (B, channels, height, width), `classifier` (B, classes), or what
    the task's outputs have in the place of classes.
    """

    channels: tuple[PositiveInt, ...] = Field((16, 32, 64), min_length=1)
    """Output channels of each stage; multiples of 16 leave structured pruning whole blocks to remove."""
    strides: tuple[PositiveInt, ...] | None = None
    """Stride of each stage's first convolution; by default 1 in the first stage and 2 in every later one."""
    convs_per_stage: int = Field(1, gt=0)
    """Convolutions in each stage."""

    @model_validator(mode="after")
    def _one_stride_a_stage(self) -> CNN:
        if self.strides is not None and len(self.strides) != len(self.channels):
            raise ValueError(f"strides needs one number a stage ({len(self.channels)}), got {len(self.strides)}")
        return self

    def layers(self) -> Layers:
        stages = tuple(f"layer{number}" for number in range(1, len(self.channels) + 1))
        last = 3 * self.convs_per_stage - 1
        return Layers(stages=stages, preactivations=tuple(f"{stage}.{last}" for stage in stages), embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models._cnn import cnn

        input_channels, _, _ = image_shape("cnn", task)
        strides = self.strides or (1, *(2 for _ in self.channels[1:]))
        return cnn(input_channels, self.channels, strides, self.convs_per_stage, task.outputs)
