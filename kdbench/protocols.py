"""What a technique, a model and a task are, and what a technique is given. Knows torch for type checking only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from kdbench.parts import Part

if TYPE_CHECKING:
    import numpy
    from torch import Tensor, nn

SPLITS = ("train", "validation", "test")


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


Loss = Callable[[Batch, "Tensor"], "dict[str, Tensor]"]
"""(batch, logits) -> {name: weighted term}; the loop sums the terms and logs each."""


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
    metrics: tuple[str, ...] = ("accuracy",)
    preprocessing: Preprocessing = Preprocessing()
    example_counts: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def class_count(self) -> int:
        return len(self.class_names)


class Task(Part):
    """Data with labels, split once and for all. `decode` is run once; later stages map the arrays it wrote."""

    def views(self) -> int:
        """How many views an example has. View 0 is always the example as it is stored; 1 means no other."""
        return 1

    def identity(self) -> dict[str, Any]:
        """What the decoded data depends on, as JSON data; cheap, without reading the data itself.

        Raises DataError when the data is not there.
        """
        return self.to_fields()

    def decode(self, out: Path) -> TaskDescription:
        """Write the arrays of each split into `out` (`kdbench.tasks._arrays.write_split`) and describe them."""
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


class Layers(BaseModel):
    """Where techniques tap a network unless the suite names layers: module paths, as `named_modules` has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stem: str = ""
    """What comes before the stages; its output is (B, C, H, W)."""
    stages: tuple[str, ...] = ()
    """From input to output; the output of each is a feature map (B, C, H, W)."""
    preactivations: tuple[str, ...] = ()
    """For each stage the ReLU that ends it: what goes *into* that module is the stage's pre-activation."""
    embedding: str = ""
    """Its output, flattened, is what the classifier sees: (B, D)."""


class Model(Part):
    """An architecture; `build` gives fresh weights from torch's current random state."""

    form: ClassVar[Literal["torch", "estimator"]] = "torch"
    packages: ClassVar[frozenset[str]] = frozenset()
    """Distributions (beside torch) whose version changes what it learns, or its file."""

    def layers(self) -> Layers:
        """Where techniques on features tap it by default; empty: the suite names the layers."""
        return Layers()

    def build(self, task: TaskDescription) -> nn.Module:
        """The network for a task: its input shapes and class count decide the first and last layer.

        Raises KdbenchError when the model cannot take such inputs.
        """
        raise TypeError(f"{type(self).__name__} has no build()")

    def pretrained(self) -> Path | None:
        """The weights file this model starts from, where it has one."""
        return None

    def load_pretrained(self, network: nn.Module) -> None:
        """Load that file into a network that `build` gave. Raises KdbenchError where it does not fit."""


class Context(Protocol):
    """What a technique is given beside the model. There is no way to test data."""

    @property
    def seed(self) -> int: ...

    @property
    def task(self) -> TaskDescription: ...

    @property
    def out(self) -> Path:
        """A folder of this stage's own; a technique on files writes its result there."""
        ...

    @property
    def log(self) -> logging.Logger: ...

    def fit(
        self,
        model: nn.Module,
        loss: Loss | None = None,
        extra: nn.Module | None = None,
        recipe: str = "train",
        part: tuple[float, float] = (0.0, 1.0),
    ) -> nn.Module:
        """Train `model` (and the modules in `extra`, which are dropped afterwards) under the recipe in that role.

        loss: None means cross-entropy on the labels, {"ce": ...}.
        part: from where to where in the recipe's epochs, as shares of them, for a technique that trains in several
        goes: (0, 0.25) and then (0.25, 1) together have the recipe's length. Each go runs the whole schedule,
        shrunk to its length. A part that rounds to no epoch trains nothing.
        """
        ...

    def teacher(self, batch: Batch, number: int = 0) -> Tensor:
        """The logits of a teacher for a batch, (B, classes): stored where they were computed before, else live."""
        ...

    @property
    def teacher_count(self) -> int:
        """How many teachers the case names."""
        ...

    @property
    def teacher_module(self) -> nn.Module:
        """The (first) teacher itself, in eval mode, without gradients; for features.

        Raises TechniqueError where the teacher is an ONNX file.
        """
        ...

    def answers(self, network: nn.Module, batch: Batch) -> Tensor:
        """The logits of any network that teaches, live: in eval mode, without gradients, counted as a teacher's pass.

        Its hooks fire, so `answers(ctx.teacher_module, batch)` fills what taps on the teacher collect.
        """
        ...

    def fresh(self, number: int, model: str | dict[str, Any] | None = None) -> nn.Module:
        """A further network with new weights, another for each number (from 1).

        model: a registered name or one {name: fields}; None: the student's own architecture.
        """
        ...

    @property
    def student_layers(self) -> Layers:
        """Where the student's architecture is tapped by default."""
        ...

    @property
    def teacher_layers(self) -> Layers:
        """Where the (first) teacher's architecture is tapped by default."""
        ...

    def unlabelled(self, batch_size: int) -> Iterator[Batch]:
        """The images of the technique's `unlabelled_folder`, over and over in an order of this seed; targets are -1."""
        ...

    def note(self, sentence: str) -> None:
        """A sentence that a reader of the results must see beside this case."""
        ...

    @property
    def train(self) -> Iterable[Batch]:
        """The training split once, in order, not augmented."""
        ...

    @property
    def validation(self) -> Iterable[Batch]: ...

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Two preprocessed training inputs, for tracing."""
        ...

    def calibration(self, sample_count: int) -> Sequence[dict[str, numpy.ndarray]]:
        """Preprocessed training inputs by input name, batch 1 each, drawn with this seed.

        Raises DataError when the training split has fewer.
        """
        ...


@dataclass(frozen=True)
class Destination:
    """Where a file will run; what a step whose fields are `auto` goes by."""

    provider: str
    machine: str
    """platform.machine(): x86_64, AMD64, aarch64, arm64 ..."""


Effect = Literal["surgery", "rounding", "zeros", "sharing", "teaching", "retraining", "restart"]
"""What a technique does to a network or file that decides which orders make sense (`kdbench.checks.check_orders`).

surgery     it changes layers, or sets weights by other means than training
rounding    what it gives computes in fewer bits, in ranges or on a grid of its own
zeros       it leaves zeros among the weights, which later training would fill
sharing     it leaves few distinct weights, which later training would spread apart
teaching    the student learns from a teacher, through a whole recipe
retraining  the student is trained through a whole recipe in which no earlier teaching has a part
restart     it begins with new students, or puts other weights in place of the student's
"""


class Technique(Part):
    """One way to shrink or teach a model. Everything but `apply` has a default."""

    form: ClassVar[Literal["torch", "onnx", "estimator"]] = "torch"
    """What apply takes and gives: an nn.Module, or the path of an ONNX file."""
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "trained"
    """The student it wants when first in a chain: new weights, trained on labels, or from its weights file."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Of {"teacher", "teacher_features", "calibration"}."""
    least_teachers: ClassVar[int] = 1
    """How many teachers it learns from at least, where it needs any."""
    roles: ClassVar[frozenset[str]] = frozenset({"train"})
    """The recipes that `apply` asks `ctx.fit` for: "train" is the student's, others stand by name in the suite."""

    family: ClassVar[str] = "other"
    """How reports colour it: distillation, pruning, quantization or other."""
    packages: ClassVar[frozenset[str]] = frozenset()
    """Distributions (beside torch) whose version changes what `apply` gives."""
    effects: ClassVar[frozenset[Effect]] = frozenset()
    """What it does that steps after or before it must know; orders that make no sense are refused by these."""

    def apply(self, model: Any, ctx: Context) -> Any:
        """The model, shrunk or taught; of the same form as it came."""
        raise TypeError(f"{type(self).__name__} has no apply()")

    def asks(self) -> frozenset[str]:
        """What this very step needs: `needs`, unless its fields say less."""
        return self.needs

    def trains_under(self) -> frozenset[str]:
        """The recipes that this very step trains under: `roles`, unless its fields say otherwise."""
        return self.roles

    def problem(self, model: Any, ctx: Context) -> str | None:
        """Why this technique makes no sense for this model, as a sentence; None when it does."""
        return None

    def refuses_after(self, earlier: Technique) -> str | None:
        """Why it makes no sense anywhere after another step, for a reason of its own that `effects` do not tell.

        The end of a sentence with its full stop ("X makes no sense after Y: ..."), the remedy in it; None when it does.
        """
        return None

    @classmethod
    def default_layers(cls, layers: Layers) -> tuple[str, ...]:
        """Of an architecture's layers those that it taps unless the suite names others."""
        return ()

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """What a student that is no network is fitted to, in place of `apply`, for each example of a batch.

        int64 (B,): classes; or float (B, classes): probabilities, or other scores whose highest decides.
        """
        raise TypeError(f"{type(self).__name__} has no targets()")

    def no_targets(self) -> str | None:
        """Why a student that is no network cannot learn from this, as a sentence; None where it can."""
        if type(self).targets is Technique.targets:
            return "it works on the weights of networks, and has no targets that anything else could be fitted to."
        return None

    def unlabelled_folder(self) -> str | None:
        """A folder of images without labels that it learns from beside the training split, where it does."""
        return None

    def settle(self, destination: Destination) -> Technique:
        """Itself with every `auto` field decided for where the file will run."""
        return self
