"""The ShuffleNets of the distillation literature, as declarations; their networks are in `_shufflenet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn

STAGES = ("layer1", "layer2", "layer3")


class ShuffleNetV1(Model):
    """Shuffled units of 240, 480 and 960 channels with 3 groups; 949,258 parameters at 100 classes.

    Layers to tap: `stem`, `layer1`, `layer2`, `layer3` (B, channels, height, width), `pool`, `fc` (B, classes).
    Where we differ from the paper, as the distillation literature does: the stem is a 1x1 convolution without stride
    or pooling, the depthwise convolution has a ReLU after it, and the inner channels of a unit that halves the image
    are a quarter of the channels it adds. Weights start as torch draws them.
    """

    paper: ClassVar[str] = "Zhang et al. 2018, ShuffleNet, section 3; for 32x32 as in Tian et al. 2020 (CRD)"

    def layers(self) -> Layers:
        preactivations = tuple(f"{stage}.{last}.relu" for stage, last in zip(STAGES, (3, 7, 3), strict=True))
        return Layers(stem="stem", stages=STAGES, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _shufflenet

        input_channels, _, _ = image_shape("ShuffleNetV1", task)
        return _shufflenet.ShuffleNetV1(input_channels, task.outputs)


class ShuffleNetV2(Model):
    """Split and shuffled units of 116, 232 and 464 channels (width 1x); 1,355,528 parameters at 100 classes.

    Layers to tap: `stem`, `layer1`, `layer2`, `layer3` (B, channels, height, width), `pool`, `fc` (B, classes).
    Where we differ from the paper, as the distillation literature does: the stem is a 1x1 convolution without stride
    or pooling. Weights start as torch draws them.
    """

    paper: ClassVar[str] = "Ma et al. 2018, ShuffleNet V2, section 3; for 32x32 as in Tian et al. 2020 (CRD)"

    def layers(self) -> Layers:
        preactivations = tuple(f"{stage}.{last}.relu" for stage, last in zip(STAGES, (3, 7, 3), strict=True))
        return Layers(stem="stem", stages=STAGES, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _shufflenet

        input_channels, _, _ = image_shape("ShuffleNetV2", task)
        return _shufflenet.ShuffleNetV2(input_channels, task.outputs)
