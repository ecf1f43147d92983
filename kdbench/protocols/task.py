"""What a task is: labelled data as batches, and its description after decoding. Knows torch for type checking only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kdbench.protocols.part import Part

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "validation", "test")
ValidationOrigin = Literal["own", "train"]
"""Whether a task has validation examples of its own, or takes them out of what others know as its training split."""


@dataclass(frozen=True)
class Batch:
    """Examples as a model takes them: `model(*batch.inputs)`.

    inputs: tensors of shape (B, ...), preprocessed and augmented; targets: int64 (B,);
    index: int64 (B,), the example's place in the training split, negative for an example of another; view: int64
    (B,), which augmentation of it (0: none). Stored teacher outputs and contrastive memories need both.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    index: Tensor
    view: Tensor


class Preprocessing(BaseModel):
    """From stored numbers to what a model takes: (x * scale - mean) / std, the last two per channel (axis 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class ImageForm(BaseModel):
    """From an image file to a stored input, uint8 (channels, size, size).

    It is turned upright as its EXIF data says and converted to RGB (3 channels) or grey (1); where it is not size x
    size then, its shorter side is brought to that by Pillow's filter `resize` and the longer one is cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0)
    channels: Literal[1, 3]
    resize: Literal["bilinear"] = "bilinear"
    crop_centre: tuple[float, float] = (0.5, 0.5)
    """How much of what is cut away lies left of and above the rest: halves keep the centre."""


class TaskDescription(BaseModel):
    """A task after decoding: everything later stages need to know without its code.

    Shapes are without the batch axis. `notes` are sentences a reader of the report must see (files left out, say).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_names: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...]
    metrics: tuple[str, ...] = Field(("accuracy",), min_length=1)
    """What good means here, as names of registered metrics: the first is what evaluations report."""
    preprocessing: Preprocessing = Preprocessing()
    example_counts: dict[str, int]
    notes: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    """Names of files that `decode` wrote beside its arrays, and that a model of this task is of no use without: a
    vocabulary, a list of labels. `kdbench get` hands them over with the model."""
    settings: dict[str, JsonValue] = {}
    """What else turns raw data into inputs, as JSON data, for whoever uses a model elsewhere: a sample rate, the length
    of a window, whether text is lower-cased."""
    validation_origin: ValidationOrigin = "own"
    """With "train", weights that come from outside may have been trained on the validation examples: their scores there
    say nothing, and nothing may be chosen by them."""

    @property
    def class_count(self) -> int:
        return len(self.class_names)


class Task(Part):
    """Data with labels, split once and for all. `decode` is run once; later stages map the arrays it wrote.

    The data is decoded again when the task's fields change, its code, or a file or folder that a field or a string in
    its code names (`Part.identity`, which is asked for every plan: it must be cheap). Of data that lies elsewhere
    kdbench cannot know that it changed: override `identity` to say it.
    """

    def views(self) -> int:
        """How many views an example has. View 0 is always the example as it is stored; 1 means no other."""
        return 1

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
