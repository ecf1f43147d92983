"""Your own arrays, in .npz or .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from kdbench.protocols import TaskDescription
from kdbench.protocols.data import EmbeddingTargets, Kind
from kdbench.tasks._splitting import Filed


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ArrayInput(_Said):
    """One input of the model. With `role` mask or lengths it is made from the axis that it `covers`, and has no file.

    Examples that vary in length lie end to end, (sum of lengths, ...), beside their `KEY_lengths` (N,) or
    `KEY_offsets` (N + 1,); or as rows of one size, (N, longest, ...), beside their `KEY_lengths`.
    """

    key: str | None = None
    """The array's name in the files; the input's own by default."""
    axes: tuple[int | str, ...] | None = None
    """Sizes without the examples' axis, a name for the one that varies: [40, time]. By default the array's."""
    dtype: Literal["float32", "int64"] | None = None
    """What the model takes; by default int64 where `values` is given or the input is made, else float32."""
    values: int | None = Field(None, gt=0)
    """How many ids there are, 0 to values - 1."""
    padding: float = 0.0
    """What stands behind an example's end in a batch of longer ones."""
    role: Literal["values", "mask", "lengths", "segments"] = "values"
    """`mask` (1 at real places, 0 at padding) and `lengths` are made for each batch from the axis that they cover."""
    covers: str | None = None
    """The axis that a mask or lengths tell about."""
    scale: float = 1.0
    """The model takes (x * scale - mean) / std."""
    mean: tuple[float, ...] | None = None
    """One number, or one a channel (the first axis): what is subtracted, given together with `std`."""
    std: tuple[PositiveFloat, ...] | None = None
    """What is divided by, like `mean`."""
    standardize: bool = False
    """Take mean and standard deviation of the training split, per channel. Without it nothing is scaled."""

    @property
    def made(self) -> bool:
        """Whether it is made for each batch, and no array."""
        return self.role in ("mask", "lengths")

    @property
    def type(self) -> Literal["float32", "int64"]:
        """What the model takes."""
        return self.dtype or ("int64" if self.values is not None or self.made else "float32")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.made and (self.covers is None or self.key is not None):
            raise ValueError(f"a {self.role} is made from the axis that it `covers`; it needs that field, and no `key`")
        if self.covers is not None and not self.made:
            raise ValueError("`covers` belongs to an input of role mask or lengths")
        if sum(isinstance(axis, str) for axis in self.axes or ()) > 1:
            raise ValueError("at most one axis of an input varies")
        scaled = self.mean is not None or self.standardize or self.scale != 1
        if scaled and self.type == "int64":
            raise ValueError("whole numbers are never scaled; give scale, mean and std to inputs of float32")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together, or neither")
        if self.standardize and self.mean is not None:
            raise ValueError("standardize takes mean and std from the training split; leave them out")
        return self


class ArrayOutput(_Said):
    """One output of the model, and its target."""

    kind: Kind
    """What the model says, and its targets: classes (one of K, as whole numbers from 0 or as texts), multilabel (0 or 1
    for each label), values (numbers), dense_classes (a class at each place), token_classes (a class at each place of
    `axis`), sequence (symbols, fewer than places of `axis`: CTC), embedding (what `targets` says)."""
    key: str | None = None
    """The target's name in the files; the output's own by default."""
    class_names: tuple[str, ...] = ()
    """Names of classes, labels or symbols; by default the texts of the targets, or numbers."""
    value_names: tuple[str, ...] = ()
    """What each of an output's values is."""
    unit: str = ""
    """The unit of values, for sentences and tables."""
    ignore: int | None = None
    """A target that counts nowhere."""
    axis: str | None = None
    """The input axis that tokens or a sequence follow; by default the only one that varies."""
    blank: int = Field(0, ge=0)
    """The symbol of a sequence that stands for nothing."""
    subsampling: int = Field(1, ge=1)
    """How a sequence is shorter than its input: n places of the axis give ceil(n / subsampling) frames."""
    size: int | None = Field(None, gt=0)
    """How many numbers an embedding has."""
    targets: EmbeddingTargets | None = None
    """What an embedding is judged by: `ids` (N,), where the same id means that examples belong together;
    `queries` (N, 2), an id and 1 for a query or 0 for a document; `pairs` (N, 2), the number of a pair and its score,
    the same for both examples."""
    loss_weight: float = Field(1.0, ge=0)
    """The weight of its loss beside the other outputs'."""
    metrics: tuple[str, ...] = ()
    """What good means here: the first decides. By default the kind's own."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "embedding") != (self.size is not None):
            raise ValueError("`size` is how many numbers an embedding has: an output of kind embedding needs it")
        if (self.kind == "embedding") != (self.targets is not None):
            raise ValueError(
                "`targets` says what the targets of an embedding mean, ids, queries or pairs: an output of kind "
                "embedding needs it"
            )
        if self.class_names and self.kind in ("values", "embedding"):
            raise ValueError(f"an output of kind {self.kind} has no classes; leave out class_names")
        if (self.value_names or self.unit) and self.kind != "values":
            raise ValueError("value_names and unit belong to an output of kind values")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("class_names has a name twice")
        return self


class ArrayAxis(_Said):
    """An axis that varies from example to example."""

    least: int = Field(1, ge=1)
    """The smallest size a model must take."""
    most: int | None = Field(None, ge=1)
    """The largest that the model takes, where it has a bound."""
    multiple: int = Field(1, ge=1)
    """A padded batch's size is a multiple of it."""
    unit: str = ""
    """What there is more of in a longer example, in the plural (tokens, seconds): throughput is told in it."""
    amount: PositiveFloat = 1.0
    """How much of that is one place of the axis."""


class ArrayFiles(Filed):
    """Arrays of your own: .npz files, or folders of .npy files, with one array an input and one an output.

    An array has an example a row, (N, ...). Nothing is scaled unless it is asked for, and nothing is unpickled.
    """

    inputs: dict[str, ArrayInput] = Field(min_length=1)
    """The model's inputs in its order, by name."""
    outputs: dict[str, ArrayOutput] = Field(min_length=1)
    """The model's outputs in its order, by name; the first one decides."""
    axes: dict[str, ArrayAxis] = Field(default_factory=dict)
    """Bounds of the axes that vary, by name, where they have any."""

    @model_validator(mode="after")
    def _axes_are_those_of_inputs(self) -> Self:
        varying = {axis for one in self.inputs.values() for axis in one.axes or () if isinstance(axis, str)}
        asked = {f"inputs.{name} covers": one.covers for name, one in self.inputs.items()}
        asked |= {f"outputs.{name} follows": one.axis for name, one in self.outputs.items()}
        asked |= {f"axes.{axis} bounds": axis for axis in self.axes}
        for who, axis in asked.items():
            if axis is not None and axis not in varying:
                known = (
                    f"those that vary are {', '.join(sorted(varying))}" if varying else "no input has one that varies"
                )
                raise ValueError(f"{who} the axis '{axis}', and {known}; name it in an input's `axes`")
        if all(one.made for one in self.inputs.values()):
            raise ValueError("inputs needs one that is an array: masks and lengths are made from it")
        return self

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that the fields say."""
        return tuple(one.kind for one in self.outputs.values())

    def varies(self) -> bool:
        """Whether an input's axes name one."""
        return any(isinstance(axis, str) for one in self.inputs.values() for axis in one.axes or ())

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError, with the file and the key, where an array is not what the fields say."""
        from kdbench.tasks._array_task import decode

        return decode(self, out)
