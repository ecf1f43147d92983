"""ResNet50 for small images, as a declaration; its network is in `_resnet50`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class ResNet50(Model):
    """Bottlenecks of 256, 512, 1024 and 2048 channels after a 3x3 stem; 23,705,252 parameters at 100 classes.

    Layers to tap: `relu` (the stem), `layer1` to `layer4` (B, channels, height, width), `pool`, `fc` (B, classes).
    Where we differ from the paper, as the distillation literature does: the first convolution is 3x3 without stride
    or pooling, and a stage's stride is in the 3x3 convolution. Convolutions start as in He et al. 2015, fan-out mode.
    """

    paper: ClassVar[str] = "He et al. 2016, Deep Residual Learning, section 4.1; for 32x32 as in Tian et al. 2020 (CRD)"

    def layers(self) -> Layers:
        stages = ("layer1", "layer2", "layer3", "layer4")
        last = (2, 3, 5, 2)
        preactivations = tuple(f"{stage}.{block}.relu" for stage, block in zip(stages, last, strict=True))
        return Layers(stem="relu", stages=stages, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _resnet50

        input_channels, _, _ = image_shape("ResNet50", task)
        return _resnet50.ResNet50(input_channels, task.outputs)
