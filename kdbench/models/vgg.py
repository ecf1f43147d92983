"""The VGGs of the distillation literature, as declarations; their network is in `_vgg`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.errors import ModelError
from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn

SMALLEST = 8
"""Smallest height and width: three halvings leave one pixel."""
LARGE = 64
"""From this height on the image is halved a fourth time, as in the published networks."""


class VGG(Model):
    """Groups of 3x3 convolutions, BatchNorm and ReLU with max pooling between them.

    Layers to tap: `layer0` (the stem), `layer1` to `layer4` (B, channels, height, width), each before its pooling;
    `pool`, `fc` (B, classes). Where we differ from the paper, as the distillation literature does: BatchNorm, global
    average pooling and one linear layer, and below 64x64 no pooling before the last group. Convolutions start as
    in He et al. 2015, fan-out mode; the classifier with standard deviation 0.01.
    """

    paper: ClassVar[str] = "Simonyan and Zisserman 2015, Very Deep Convolutional Networks; as in Tian et al. 2020 (CRD)"
    convs_per_stage: ClassVar[int]

    def layers(self) -> Layers:
        stages = ("layer1", "layer2", "layer3", "layer4")
        last = 3 * self.convs_per_stage - 1
        preactivations = tuple(f"{stage}.{last}" for stage in stages)
        return Layers(stem="layer0", stages=stages, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image, or one smaller than 8x8."""
        from kdbench.models import _vgg

        name = type(self).__name__.lower()
        input_channels, height, width = image_shape(name, task)
        if min(height, width) < SMALLEST:
            raise ModelError(f"{name} takes images of {SMALLEST}x{SMALLEST} or more, got {height}x{width}; use cnn.")
        return _vgg.VGG(input_channels, self.convs_per_stage, height >= LARGE, task.outputs)


class VGG8(VGG):
    """One convolution each of 64, 128, 256, 512 and 512 channels; 3,965,028 parameters at 100 classes."""

    convs_per_stage: ClassVar[int] = 1


class VGG13(VGG):
    """Two convolutions each of 64, 128, 256, 512 and 512 channels; 9,462,180 parameters at 100 classes."""

    convs_per_stage: ClassVar[int] = 2
