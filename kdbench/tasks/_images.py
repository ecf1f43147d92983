"""Fields that all image tasks share: augmentation and the validation split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kdbench.protocols import Task
from kdbench.protocols.data import ValidationOrigin

if TYPE_CHECKING:
    from torch import Tensor


class Images(Task):
    """Images with one label each. Training and test images lie apart; validation is taken from the training images."""

    augment: Literal["none", "crop_flip"] = "none"
    """`crop_flip`: training images are shifted by up to `padding` pixels each way and mirrored half of the time."""
    padding: int = Field(4, gt=0)
    """Largest shift of `crop_flip` in pixels; what comes in from outside the image is 0."""
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of each class's training images that is set apart for validation; 0 for none."""
    validation_unseen: bool = False
    """Say true where the weights that a suite brings (of a student or a teacher) were not trained on the images that
    validation takes from train: nothing is chosen on validation images that such weights may have learnt by heart."""
    split_seed: int = Field(0, ge=0)
    """Decides which images go into validation (and into a subset, where one is asked for)."""

    def validation_origin(self) -> ValidationOrigin:
        """Whether weights from outside may have seen the validation images, where they are taken from train."""
        return "own" if self.validation_unseen else "train"

    def views(self) -> int:
        """(2 * padding + 1)^2 shifts, mirrored or not: 162 for a padding of 4."""
        return 2 * (2 * self.padding + 1) ** 2 if self.augment == "crop_flip" else 1

    def augmented(self, inputs: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """The images shifted and mirrored; `_augment.crop_flip` says which view is which."""
        if self.augment == "none":
            return inputs
        from kdbench.tasks._augment import crop_flip

        return tuple(crop_flip(images, views, self.padding) for images in inputs)
