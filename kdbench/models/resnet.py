"""The CIFAR ResNets of the distillation literature, as declarations; their network is in `_resnet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class CifarResNet(Model):
    """A ResNet for small images: 6n + 2 layers in three stages, with projection shortcuts.

    Layers to tap: `layer1`, `layer2`, `layer3` (B, channels, height, width), `fc` (B, classes). We average over
    whatever height and width are left, so that images other than 32x32 fit too.
    """

    paper: ClassVar[str] = "He et al. 2016, Deep Residual Learning, section 4.2; variants of Tian et al. 2020 (CRD)"
    depth: ClassVar[int]
    widths: ClassVar[tuple[int, int, int, int]]
    """Channels of the first convolution and of the three stages."""

    def layers(self) -> Layers:
        stages = ("layer1", "layer2", "layer3")
        last = (self.depth - 2) // 6 - 1
        preactivations = tuple(f"{stage}.{last}.relu" for stage in stages)
        return Layers(stem="relu", stages=stages, preactivations=preactivations, embedding="pool")

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the task's input is no image."""
        from kdbench.models import _resnet

        input_channels, _, _ = image_shape(type(self).__name__.lower(), task)
        return _resnet.CifarResNet(input_channels, self.depth, self.widths, task.outputs)


class ResNet20(CifarResNet):
    """20 layers of 16, 32 and 64 channels; 278,324 parameters at 100 classes."""

    depth: ClassVar[int] = 20
    widths: ClassVar[tuple[int, int, int, int]] = (16, 16, 32, 64)


class ResNet32(CifarResNet):
    """32 layers of 16, 32 and 64 channels; 472,756 parameters at 100 classes."""

    depth: ClassVar[int] = 32
    widths: ClassVar[tuple[int, int, int, int]] = (16, 16, 32, 64)


class ResNet44(CifarResNet):
    """44 layers of 16, 32 and 64 channels; 667,188 parameters at 100 classes."""

    depth: ClassVar[int] = 44
    widths: ClassVar[tuple[int, int, int, int]] = (16, 16, 32, 64)


class ResNet56(CifarResNet):
    """56 layers of 16, 32 and 64 channels; 861,620 parameters at 100 classes."""

    depth: ClassVar[int] = 56
    widths: ClassVar[tuple[int, int, int, int]] = (16, 16, 32, 64)


class ResNet110(CifarResNet):
    """110 layers of 16, 32 and 64 channels; 1,736,564 parameters at 100 classes."""

    depth: ClassVar[int] = 110
    widths: ClassVar[tuple[int, int, int, int]] = (16, 16, 32, 64)


class ResNet8x4(CifarResNet):
    """8 layers of 64, 128 and 256 channels; 1,233,540 parameters at 100 classes."""

    depth: ClassVar[int] = 8
    widths: ClassVar[tuple[int, int, int, int]] = (32, 64, 128, 256)


class ResNet32x4(CifarResNet):
    """32 layers of 64, 128 and 256 channels; 7,433,860 parameters at 100 classes."""

    depth: ClassVar[int] = 32
    widths: ClassVar[tuple[int, int, int, int]] = (32, 64, 128, 256)
