"""Your own images with a mask each, which says the class of every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PositiveFloat, model_validator

from kdbench.contents import content_digest
from kdbench.errors import DataError
from kdbench.protocols import ImageForm, TaskDescription
from kdbench.protocols.data import Kind
from kdbench.tasks._images import Images

if TYPE_CHECKING:
    from torch import Tensor

Level = Annotated[int, Field(ge=0, le=255)]


class MaskFolder(Images):
    """Images under root/train/images/ with masks of the same name under root/train/masks/; root/test/ likewise.

    Where root/validation/ is there too, it is the validation split. A mask is a PNG of class numbers (grey, or a
    palette's places), or of the colours that `colours` names. An image is turned upright, converted and brought to size
    as in `image_folder`; its mask goes the same way, each pixel taking the class of the nearest.
    """

    root: str
    """The folder with `train` and `test` in it, and `validation` where there is one."""
    image_size: int = Field(gt=0)
    """Height and width of the decoded images, in pixels."""
    grayscale: bool = False
    """One channel instead of three."""
    class_names: tuple[str, ...] = ()
    """Names of the classes 0, 1, ...; by default numbers, up to the largest in the training masks."""
    colours: dict[str, tuple[Level, Level, Level]] = Field(default_factory=dict)
    """Where masks are coloured: class name -> [red, green, blue], the classes in this order."""
    ignore: Level = 255
    """The class number that counts nowhere. What a crop brings in from outside an image has it too."""
    ignore_colour: tuple[Level, Level, Level] | None = None
    """Where masks are coloured: the colour that counts nowhere."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel on the scale 0 to 1, given together with `std`; without both, those of train."""
    std: tuple[PositiveFloat, ...] | None = None
    """Standard deviation of each channel, like `mean`."""
    origin: str = ""
    """Where the images come from and on what terms; it goes with every model that `kdbench get` hands over."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together, or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.image_form().channels:
                raise ValueError(f"{name} needs one number a channel ({self.image_form().channels}), got {len(values)}")
        if self.class_names and self.colours:
            raise ValueError("`colours` names the classes already; leave out class_names")
        if self.ignore_colour is not None and not self.colours:
            raise ValueError("`ignore_colour` belongs to coloured masks; say `colours`, or use `ignore`")
        known = [*self.colours.values(), *([self.ignore_colour] if self.ignore_colour else [])]
        if len(set(known)) < len(known):
            raise ValueError("two classes have one colour")
        if self.ignore < len(self.class_names or self.colours):
            raise ValueError(f"`ignore` is {self.ignore}, which is the number of a class; give one that is none")
        return self

    def kinds(self) -> tuple[Kind, ...]:
        """A class at each place."""
        return ("dense_classes",)

    def image_form(self) -> ImageForm:
        """The size and channels that the fields ask for."""
        return ImageForm(size=self.image_size, channels=1 if self.grayscale else 3)

    def data_origin(self) -> str:
        """The field `origin`."""
        return self.origin

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; `root` by the names, sizes and times of its files. Raises DataError."""
        place = Path(self.root).expanduser()
        digest = content_digest(place)
        if digest is None:
            raise DataError(f"root: there is no folder '{place}' to read; relative paths start in the current folder.")
        return {**self.model_dump(mode="json", exclude={"root", "origin"}), "content": digest}

    def augmented_targets(self, targets: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """The masks shifted and mirrored as their images are."""
        if self.augment == "none":
            return targets
        from kdbench.tasks._augment import crop_flip

        return tuple(crop_flip(masks[:, None], views, self.padding, self.ignore)[:, 0] for masks in targets)

    def decode(self, out: Path) -> TaskDescription:
        """All images are held in memory at once. Raises DataError, with the file, for whatever is no pair."""
        from kdbench.tasks._mask_task import decode

        return decode(self, out)
