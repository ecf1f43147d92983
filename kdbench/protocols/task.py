"""What a task is: examples with targets, split once and for all. Knows torch for type checking only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.protocols.data import ImageForm, TaskDescription
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "validation", "test")


class Task(Part):
    """Data with labels, split once and for all. `decode` is run once; later stages map the arrays it wrote.

    The data is decoded again when the task's fields change, its code, or a file or folder that a field or a string in
    its code names (`Part.identity`, which is asked for every plan: it must be cheap). Of data that lies elsewhere
    kdbench cannot know that it changed: override `identity` to say it.
    """

    def views(self) -> int:
        """How many views an example has. View 0 is always the example as it is stored; 1 means no other."""
        return 1

    def kinds(self) -> tuple[str, ...]:
        """The kinds of its outputs (`kdbench.protocols.data.Kind`), as far as they are known before it is decoded.

        Techniques that make no sense for them are refused when a suite is read, before any work.
        """
        return ("classes",)

    def varies(self) -> bool | None:
        """Whether an axis of its inputs differs in size from example to example; None where only decoding tells.

        `lengths` to time at are refused where nothing varies.
        """
        return None if self.image_form() is None else False

    def decode(self, out: Path) -> TaskDescription:
        """Write the arrays of each split into `out` (`kdbench.tasks.arrays.write_split`) and describe them."""
        raise TypeError(f"{type(self).__name__} has no decode()")

    def image_form(self) -> ImageForm | None:
        """How a file becomes an input, where the data lies as image files; else test inputs are kept with results."""
        return None

    def data_origin(self) -> str:
        """Where the data comes from and on what terms, for whoever ships a model made from it; empty: not said."""
        return ""

    def augmented(self, inputs: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """View number `views[i]` (int64, 0 <= v < self.views()) of each stored example i, before preprocessing."""
        return inputs

    def augmented_ragged(
        self, inputs: tuple[Tensor, ...], views: Tensor, lengths: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """As `augmented`, for examples that vary in length and are padded: lengths has (B,) for each axis that varies.

        A view of an example must not depend on what it is padded to.
        """
        return self.augmented(inputs, views)

    def augmented_targets(self, targets: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """The targets of those views, one tensor (B, ...) an output: a mask is cropped and mirrored as its image is."""
        return targets
