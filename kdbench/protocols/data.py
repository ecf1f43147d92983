"""What a task's data is after decoding: typed inputs whose axes may vary, outputs of a kind. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Kind = Literal["classes", "multilabel", "values", "dense_classes", "token_classes", "sequence", "embedding"]
"""What an output says, B examples at once.

classes        one of K classes: the model gives logits (B, K), the target is int64 (B,)
multilabel     any of K labels: logits (B, K), the target 0 or 1, float32 (B, K)
values         D numbers: (B, D), the target float32 (B, D)
dense_classes  a class at each place: logits (B, K, H, W), the target int64 (B, H, W), `ignore` where it does not count
token_classes  a class for each token: logits (B, L, K), the target int64 (B, L), `ignore` where it does not count
sequence       a shorter sequence of symbols: logits (B, T, K) with a blank, the target a ragged row of int64 (CTC)
embedding      a place in space: (B, D); the target says what belongs together (`EmbeddingTargets`)
"""
KINDS: tuple[str, ...] = get_args(Kind)
EmbeddingTargets = Literal["ids", "queries", "pairs"]
"""What the targets of an embedding say. Whatever they call one thing is one observation to intervals.

ids      int64 (B,): examples with the same id belong together; each is searched for among all others of its split
queries  int64 (B, 2): an id, and 1 for a query or 0 for a document; queries are searched for among the documents, and
         those with the query's id belong to it
pairs    float32 (B, 2): the number of a pair, below 2^24, and its score; the two examples with a number are the pair,
         and both bear its score
"""
ValidationOrigin = Literal["own", "train"]
"""Whether a task has validation examples of its own, or takes them out of what others know as its training split."""


NOTHING_VARIES = "no axis of the task's inputs varies in length, so there are no lengths to time at; leave them out."
"""Said where a suite asks for `lengths` all the same."""


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Described):
    """From stored numbers to what a model takes: (x * scale - mean) / std, the last two per channel (axis 1)."""

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class ImageForm(_Described):
    """From an image file to a stored input, uint8 (channels, size, size).

    It is turned upright as its EXIF data says and converted to RGB (3 channels) or grey (1); where it is not size x
    size then, its shorter side is brought to that by Pillow's filter `resize` and the longer one is cut.
    """

    size: int = Field(gt=0)
    channels: Literal[1, 3]
    resize: Literal["bilinear"] = "bilinear"
    crop_centre: tuple[float, float] = (0.5, 0.5)
    """How much of what is cut away lies left of and above the rest: halves keep the centre."""


class Input(_Described):
    """One input of a model.

    An axis of a size that varies from example to example bears a name, shared by all inputs and outputs that vary
    with it. At most one axis of an input varies.
    """

    name: str
    axes: tuple[int | str, ...]
    """Sizes without the batch axis; a name is that of a `SymbolicAxis`: (3, 32, 32), ("length",), (40, "time")."""
    role: Literal["values", "mask", "lengths", "segments"] = "values"
    """`mask` (1 at real places of the axis it covers, 0 at padding) and `lengths` (how many real places) are made for
    each batch; the others are stored."""
    dtype: Literal["float32", "int64"] = "float32"
    """As the model takes it. Stored arrays may be smaller (uint8, int32)."""
    padding: float = 0.0
    """What stands behind an example's end in a batch of longer ones, before preprocessing."""
    covers: str | None = None
    """The axis that a mask or lengths tell about."""
    values: int | None = Field(None, gt=0)
    """How many ids there are: they are 0 to values - 1."""
    preprocessing: Preprocessing = Preprocessing()
    """How float inputs are scaled; integers never are."""
    spread: tuple[float, ...] = (1.0,)
    """The training split's standard deviation of a float input as a model takes it, one number or one a channel
    (axis 1), where it is not about 1. Noise on copies of examples is measured in it."""

    @property
    def stored(self) -> bool:
        """Whether the task stores it, and it is not made from an axis's lengths."""
        return self.role in ("values", "segments")

    @property
    def symbolic(self) -> str | None:
        """The axis of this input that varies, where one does."""
        return next((axis for axis in self.axes if isinstance(axis, str)), None)


class SymbolicAxis(_Described):
    """An axis whose size varies from example to example."""

    name: str
    least: int = Field(1, ge=1)
    """The smallest size a model must take."""
    most: int | None = Field(None, ge=1)
    """The largest; None where there is no bound."""
    multiple: int = Field(1, ge=1)
    """A padded batch's size is a multiple of it."""
    lengths: dict[str, int] = {}
    """`median`, `p95` and `longest` of the training split."""
    unit: str = ""
    """What there is more of in a longer example, in the plural: tokens, seconds of sound. Throughput is told in it."""
    amount: float = Field(1.0, gt=0)
    """How much of that is one place of the axis: 0.01 seconds of sound, say, where a frame comes every 10 ms."""

    @property
    def median(self) -> int:
        """The training split's median size: what MACs are counted and latency is timed at, unless a suite says more."""
        return self.lengths.get("median", self.least)

    @property
    def longest(self) -> int:
        """The longest size of the training split."""
        return self.lengths.get("longest", self.most or self.median)

    def within(self, size: int) -> int:
        """The size nearest to one asked for that a model takes: within the bounds, and a multiple."""
        whole = -(-max(size, self.least) // self.multiple) * self.multiple
        return whole if self.most is None or whole <= self.most else self.most // self.multiple * self.multiple


class Output(_Described):
    """One output of a model, and how it is learnt and judged."""

    name: str = "logits"
    kind: Kind = "classes"
    axes: tuple[int | str, ...]
    """Sizes without the batch axis, as the model gives them (see `Kind`)."""
    class_names: tuple[str, ...] = ()
    """K names of classes or labels; of a sequence its symbols, `blank` included."""
    value_names: tuple[str, ...] = ()
    """What each of the D values is."""
    unit: str = ""
    """The unit of values, for sentences and tables."""
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    """Mean and standard deviation of values on the training split. A model gives values in the targets' own unit;
    losses divide by the scale, so that a term is about 1 whatever the unit. Empty: 0 and 1."""
    ignore: int | None = None
    """A target that counts nowhere."""
    blank: int = 0
    """The symbol of a sequence that stands for nothing."""
    targets: EmbeddingTargets = "ids"
    """What an embedding's targets say."""
    frames: str | None = None
    """The input axis that a sequence's T frames come from."""
    subsampling: int = Field(1, ge=1)
    """How much shorter a sequence is: n places of that axis give ceil(n / subsampling) frames."""
    loss_weight: float = Field(1.0, ge=0)
    """The weight of its loss on the labels, and of what is taught about it, beside the other outputs'."""
    metrics: tuple[str, ...] = Field((), validate_default=True)
    """What good means here, as names of registered metrics: the first decides, all are recorded."""

    @model_validator(mode="before")
    @classmethod
    def _metric_of_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("metrics"):
            return {**data, "metrics": usual_metrics(data.get("kind", "classes"), data.get("targets", "ids"))}
        return data

    @property
    def class_count(self) -> int:
        """K: how many classes, labels or symbols there are."""
        return len(self.class_names)

    @property
    def width(self) -> int:
        """How many numbers a model gives at each place: one a class, label, symbol or value."""
        return int(self.axes[-1] if self.kind in ("token_classes", "sequence") else self.axes[0])

    def places(self, lengths: Mapping[str, Any]) -> Any:
        """How many of its places along axis 1 are each example's own, (B,); None where all have the same.

        lengths: for each axis that varies, how long each example is, (B,), as an array or a tensor.
        """
        axis = self.frames if self.kind == "sequence" else next((a for a in self.axes if isinstance(a, str)), None)
        if axis is None or axis not in lengths:
            return None
        return -(-lengths[axis] // self.subsampling)


DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "multilabel": ("macro_f1",),
    "values": ("rmse",),
    "dense_classes": ("mean_iou",),
    "token_classes": ("macro_f1",),
    "sequence": ("word_error_rate",),
}
OF_EMBEDDINGS: Mapping[str, tuple[str, ...]] = {
    "ids": ("recall_at_1",),
    "queries": ("ndcg_at_10",),
    "pairs": ("cosine_spearman",),
}


def usual_metrics(kind: str, targets: str = "ids") -> tuple[str, ...]:
    """The metrics of an output that names none, by its kind; of an embedding by what its targets say."""
    return OF_EMBEDDINGS[targets] if kind == "embedding" else DEFAULT_METRICS[kind]


class TaskDescription(_Described):
    """A task after decoding: everything later stages need to know without its code.

    Shapes are without the batch axis. `notes` are sentences a reader of the report must see (files left out, say).
    """

    inputs: tuple[Input, ...] = Field(min_length=1)
    outputs: tuple[Output, ...] = Field(min_length=1)
    """The first one decides: its first metric is what selection, tables and the gate go by."""
    axes: tuple[SymbolicAxis, ...] = ()
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

    @classmethod
    def classification(
        cls,
        *,
        input_names: tuple[str, ...],
        input_shapes: tuple[tuple[int, ...], ...],
        class_names: tuple[str, ...],
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008  # frozen
        metrics: tuple[str, ...] = (),
        **more: Any,
    ) -> Self:
        """One output of classes behind float inputs of fixed shapes, all preprocessed alike."""
        inputs = tuple(
            Input(name=name, axes=shape, preprocessing=preprocessing)
            for name, shape in zip(input_names, input_shapes, strict=True)
        )
        output = Output(axes=(len(class_names),), class_names=class_names, metrics=metrics)
        return cls(inputs=inputs, outputs=(output,), **more)

    @model_validator(mode="after")
    def _axes_are_described(self) -> Self:
        known = {axis.name for axis in self.axes}
        used = [(one.name, (*one.axes, one.covers)) for one in self.inputs]
        used += [(one.name, one.axes) for one in self.outputs if one.kind != "sequence"]
        for name, axes in used:
            if unknown := {axis for axis in axes if isinstance(axis, str)} - known:
                raise ValueError(f"{name} has an axis '{min(unknown)}' that `axes` does not describe")
        return self

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.outputs)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of one example's inputs, axes that vary at the training split's median."""
        return self.shapes_at({})

    def shapes_at(self, sizes: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
        """The inputs' shapes where axes have these sizes; an axis that is not named has its median."""
        return tuple(
            tuple(sizes.get(axis, self.axis(axis).median) if isinstance(axis, str) else axis for axis in one.axes)
            for one in self.inputs
        )

    def axis(self, name: str) -> SymbolicAxis:
        """The axis of that name. Raises KeyError."""
        return {axis.name: axis for axis in self.axes}[name]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the first output."""
        return self.outputs[0].class_names

    @property
    def class_count(self) -> int:
        """How many classes the first output has."""
        return self.outputs[0].class_count

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the first output; its first decides."""
        return self.outputs[0].metrics
