"""A small U-Net, as a declaration; its network is in `_unet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from kdbench.errors import ModelError
from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn


class UNet(Model):
    """Two convolutions a stage, down to small maps and up again, each way up joined with its map on the way down.

    Unlike the paper's, convolutions keep the size (padding 1) and are followed by BatchNorm, and the ways up enlarge by
    nearest neighbours. Layers to tap: `down1`, `down2`, ..., `up1`, ... (B, channels, height, width), `classifier`.
    """

    paper: ClassVar[str] = "Ronneberger, Fischer, Brox 2015, U-Net, section 2"

    channels: tuple[PositiveInt, ...] = Field((16, 32, 64), min_length=1)
    """Channels of each stage; every stage after the first has half the height and width of the one before."""

    def layers(self) -> Layers:
        down = tuple(f"down{number}" for number in range(1, len(self.channels) + 1))
        return Layers(stages=down, preactivations=tuple(f"{stage}.5" for stage in down), embedding=down[-1])

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError for inputs that are no images or cannot be halved so often, and for other outputs."""
        from kdbench.models import _unet

        channels, height, width = image_shape("unet", task)
        if [output.kind for output in task.outputs] != ["dense_classes"]:
            raise ModelError("unet gives a class at each place: the task needs one output, of kind dense_classes.")
        if (height | width) % 2 ** (len(self.channels) - 1):
            raise ModelError(
                f"unet halves {height}x{width} images {len(self.channels) - 1} times, which leaves a rest; use fewer "
                "channels, or another image_size."
            )
        return _unet.UNet(channels, self.channels, task.class_count)
