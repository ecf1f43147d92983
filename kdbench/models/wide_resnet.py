"""The wide ResNets of the distillation literature, as declarations; their network is in `_wide_resnet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class WideResNet(Model):
    """A ResNet of pre-activation blocks (BatchNorm and ReLU before each convolution), 6n + 4 layers in three stages.

    Layers to tap: `conv1` (the stem), `layer1`, `layer2`, `layer3` (B, channels, height, width), `pool`, `fc`
    (B, classes). A stage's output is a sum before any ReLU. Its BatchNorm and ReLU are the first layers of the next
    stage, so its pre-activation is taken there, after that BatchNorm, as in Tian et al. 2020.
    No dropout. Convolutions start as in He et al. 2015, fan-out mode; the classifier's biases at 0.
    """

    paper: ClassVar[str] = "Zagoruyko and Komodakis 2016, Wide Residual Networks, section 2"
    depth: ClassVar[int]
    widening: ClassVar[int]
    """Factor on the stages' 16, 32 and 64 channels."""

    def layers(self) -> Layers:
        preactivations = ("layer2.0.relu1", "layer3.0.relu1", "relu")
        stages = ("layer1", "layer2", "layer3")
        return Layers(stem="conv1", stages=stages, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _wide_resnet

        input_channels, _, _ = image_shape(f"wrn_{self.depth}_{self.widening}", task)
        return _wide_resnet.WideResNet(input_channels, self.depth, self.widening, task.outputs)


class WRN16x2(WideResNet):
    """16 layers of 32, 64 and 128 channels with pre-activation; 703,284 parameters at 100 classes."""

    depth: ClassVar[int] = 16
    widening: ClassVar[int] = 2


class WRN40x1(WideResNet):
    """40 layers of 16, 32 and 64 channels with pre-activation; 569,780 parameters at 100 classes."""

    depth: ClassVar[int] = 40
    widening: ClassVar[int] = 1


class WRN40x2(WideResNet):
    """40 layers of 32, 64 and 128 channels with pre-activation; 2,255,156 parameters at 100 classes."""

    depth: ClassVar[int] = 40
    widening: ClassVar[int] = 2
