"""Transfer learning: the student starts from the weights of a network that has learned before."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from kdbench.errors import ModelError
from kdbench.protocols import Context, Effect, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "model.safetensors"
"""The file with the tensors in a folder where kdbench keeps a model."""


class TransferLearning(Technique):
    """Copy every layer of a source that fits by name and shape, freeze some, and train the rest on the labels.

    theta_l <- source's theta_l for every layer l all of whose tensors have the same names and shapes there; all others
    keep new weights. Then CE(s, labels) under the recipe for the parameters that are not frozen; s: logits, (B, K),
    averaged over the B examples. What did not match is noted beside the case. Frozen parameters get no
    gradient and no weight decay, and frozen BatchNorm normalises with the statistics that came over: both leave the
    training bit for bit as they entered it.

    Paper: Yosinski et al. 2014, "How transferable are features in deep neural networks?", section 2: with `freeze`
    its transfer AnB, without it its fine-tuned transfer AnB+. There the first n layers go over; here all that fit. A
    layer goes over whole or not at all: a bias without its weights would say nothing. In a chain before
    `soft_distillation` it gives the student its start.
    """

    paper: ClassVar[str] = "Yosinski et al. 2014, How transferable are features in deep neural networks?, section 2"
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher_features"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"restart"})

    source: str = Field("teacher", min_length=1)
    """`teacher`, or a place: a state dict (.pt, .pth, .safetensors), or a folder in which kdbench keeps a model."""
    rename: dict[str, str] = Field({})
    """Beginning of a tensor's name in the source -> what it is in the student, for instance `module.` -> nothing."""
    freeze: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Module paths of the student (`layer1`, `layer2.0.conv1`) that are not trained."""

    def asks(self) -> frozenset[str]:
        """The teacher's network where that is the source; a file needs no teacher."""
        return self.needs if self.source == "teacher" else frozenset()

    def identity(self) -> dict[str, Any]:
        """A file stands for its content, wherever it lies. Raises ModelError where it cannot be read."""
        return {**self.to_fields(), "source": self.source if self.source == "teacher" else _digest(self._file())}

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing of the source fits, or `freeze` names what the student has not."""
        from kdbench.techniques.weights._initial_weights import carry_over, held, listed, renamed

        carried = carry_over(renamed(self._state(ctx), self.rename), model)
        tell = ctx.log.info if carried.all_of_it else ctx.note
        tell(f"transfer_learning {carried.sentence}")
        with held(model, self.freeze):
            frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
            new = [name for name in frozen if name not in carried.names]
            if new:
                ctx.note(f"transfer_learning froze new weights: {listed(new)}.")
            return ctx.fit(model)

    def _state(self, ctx: Context) -> dict[str, Tensor]:
        from kdbench.state_dicts import read_state

        return ctx.teacher_module.state_dict() if self.source == "teacher" else read_state(self._file())

    def _file(self) -> Path:
        place = Path(self.source).expanduser()
        return place / WEIGHTS if place.is_dir() else place


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the weights file '{path}' ({error.strerror}).") from None
