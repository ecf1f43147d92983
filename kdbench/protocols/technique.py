"""What a technique is: one way to shrink or teach a model. Imports torch for type checking only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kdbench.protocols.batch import Batch
from kdbench.protocols.context import Context
from kdbench.protocols.data import KINDS, TaskDescription
from kdbench.protocols.model import Layers
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Destination:
    """Where a file will run; what a step whose fields are `auto` goes by."""

    provider: str
    machine: str
    """platform.machine(): x86_64, AMD64, aarch64, arm64 ..."""


Effect = Literal["surgery", "rounding", "zeros", "sharing", "teaching", "retraining", "restart"]
"""What a technique does to a network or file that decides which orders make sense (`suite/orders.py`).

surgery     it changes layers, or sets weights by other means than training
rounding    what it gives computes in fewer bits, in ranges or on a grid of its own
zeros       it leaves zeros among the weights, which later training would fill
sharing     it leaves few distinct weights, which later training would spread apart
teaching    the student learns from a teacher, through a whole recipe
retraining  the student is trained through a whole recipe in which no earlier teaching has a part
restart     it begins with new students, or puts other weights in place of the student's
"""


NEEDS = frozenset({"teacher", "teacher_features"})
"""What a technique may need of a case: a teacher's outputs, a teacher's network."""


class Technique(Part):
    """One way to shrink or teach a model. Everything but `apply` has a default."""

    form: ClassVar[Literal["torch", "onnx", "artefact"]] = "torch"
    """What apply takes and gives: an nn.Module, or the path of an ONNX file. `artefact`: nothing is applied here; the
    conversion to what `runtime` reads goes by the fields."""
    runtime: ClassVar[str] = ""
    """The runtime whose files a technique of form `artefact` is about."""
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "trained"
    """The student it wants when first in a chain: new weights, trained on labels, or from its weights file."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Which of `NEEDS` the case must have; checked before any work."""
    least_teachers: ClassVar[int] = 1
    """How many teachers it learns from at least, where it needs any."""
    roles: ClassVar[frozenset[str]] = frozenset({"train"})
    """The recipes that `apply` asks `ctx.fit` for: "train" is the student's, others stand by name in the suite."""

    kinds: ClassVar[frozenset[str]] = frozenset(KINDS)
    """The kinds of output (`kdbench.protocols.data.Kind`) that it makes sense for; checked before any work."""
    by_kind: ClassVar[Mapping[str, str]] = {}
    """What it does on a kind of output, where its docstring speaks of another; of a kind outside `kinds`, why not."""
    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "anything"
    """Which networks it works on: with `transformers` their architectures say their blocks (`Layers.blocks`), with
    `texts` their vocabulary."""

    family: ClassVar[str] = "other"
    """How reports colour it: distillation, pruning, quantization or other."""
    packages: ClassVar[frozenset[str]] = frozenset()
    """Distributions (beside torch) whose version changes what `apply` gives."""
    effects: ClassVar[frozenset[Effect]] = frozenset()
    """What it does that steps after or before it must know; orders that make no sense are refused by these."""

    def apply(self, model: Any, ctx: Context) -> Any:
        """The model, shrunk or taught; of the same form as it came.

        Before anything is trained it is tried on a network with new weights, where `ctx` has one batch of data and
        `ctx.fit` takes one step. Raise TechniqueError for what can be told there, WeightsError for what only trained
        weights can tell.
        """
        raise TypeError(f"{type(self).__name__} has no apply()")

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        """Give a network the structure that `apply` left, before its tensors are loaded; by default nothing to do.

        network: as it was before this technique, its tensors of any value. state: every tensor of the finished model by
        name, whose shapes say how it was cut; names of later techniques' tensors may be among them.
        """
        return network

    def file_form(self, network: nn.Module) -> nn.Module:
        """The network in the form that is exported to ONNX; by default as it is. The given one stays unchanged."""
        return network

    def check_file(self, path: Path, network: nn.Module) -> None:
        """Raise ExportError where the exported file does not hold what the technique made of the network."""

    def asks(self) -> frozenset[str]:
        """What this very step needs: `needs`, unless its fields say less."""
        return self.needs

    def trains_under(self) -> frozenset[str]:
        """The recipes that this very step trains under: `roles`, unless its fields say otherwise."""
        return self.roles

    def kind_problem(self, kind: str) -> str | None:
        """Why this very step makes no sense for a task with an output of that kind, as a sentence; None where it does.

        Asked when a suite is read, of the kinds that its task tells (`Task.kinds`), and again when the data is there.
        """
        if kind in self.kinds:
            return None
        return f"{self.by_kind.get(kind, 'it is not made for them')}."

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
        """The layers of an architecture that it taps, unless the suite names others."""
        return ()

    def targets(self, batch: Batch, ctx: Context) -> Tensor:
        """What a student that is no network is fitted to, in place of `apply`, for each example of a batch.

        int64 (B,): classes; or float (B, classes): probabilities, or other scores whose highest decides; of an output
        of values float (B, D).
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
        """A copy with every `auto` field decided for where the file will run."""
        return self
