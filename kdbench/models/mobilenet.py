"""MobileNetV2 of the distillation literature, as a declaration; its network is in `_mobilenet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class MobileNetV2(Model):
    """Inverted residuals of 12, 16, 48 and 160 channels (half width, expansion 6); 812,836 parameters at 100 classes.

    Layers to tap: `stem`, `layer1` to `layer4` (B, channels, height, width), `pool`, `fc` (B, classes). A stage
    covers one image size. It ends without a ReLU, so its output is also its pre-activation.
    Where we differ from the paper, as the distillation literature does: stride 1 in the second group of blocks, ReLU
    instead of ReLU6, a 1x1 convolution in the first block, too, channels not rounded to multiples of 8, 1280 channels
    at the end in spite of the half width, and no dropout. Convolutions start as in He et al. 2015, fan-out mode; the
    classifier with standard deviation 0.01.
    """

    paper: ClassVar[str] = "Sandler et al. 2018, MobileNetV2, table 2; for 32x32 as in Tian et al. 2020 (CRD)"

    def layers(self) -> Layers:
        stages = ("layer1", "layer2", "layer3", "layer4")
        last = (2, 2, 6, 3)
        preactivations = tuple(f"{stage}.{block}.linear" for stage, block in zip(stages, last, strict=True))
        return Layers(stem="stem", stages=stages, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _mobilenet

        input_channels, _, _ = image_shape("MobileNetV2", task)
        return _mobilenet.MobileNetV2(input_channels, task.outputs)
