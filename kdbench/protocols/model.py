"""What a model is: an architecture as a declaration. Knows torch for type checking only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from kdbench.protocols.data import TaskDescription
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    from torch import nn


TapKind = Literal["map", "time_map", "tokens", "frames", "vector"]
"""What a layer gives for an example: a map (C, H, W), one whose last axis is time (C, bands, T) or (C, T), a vector a
token or a frame (L, d), or one vector (d,)."""


class Block(BaseModel):
    """One layer of a transformer: attention from tokens to tokens, then two linear layers. All are module paths.

    Head h of the attention has the outputs h * head_size ... of `query`, `key` and `value`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """The layer itself; its output is the hidden state (B, L, d)."""
    query: str
    key: str
    value: str
    """Linear layers: hidden state -> heads * head_size."""
    out: str
    """Linear layer: the heads' values, side by side, -> d."""
    wide: str
    narrow: str
    """The two linear layers behind the attention: d -> inner width, inner width -> d."""
    head_size: int = Field(gt=0)
    """Numbers a head; stays where heads are pruned."""


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
    blocks: tuple[Block, ...] = ()
    """A transformer's blocks from input to output."""
    embeddings: str = ""
    """The layer of a transformer whose output is what goes into the first of the blocks, (B, L, d)."""
    vocabulary: str = ""
    """The embedding that has a row an id."""
    kinds: dict[str, TapKind] = {}
    """What layers give, by module path; it holds for all that is inside a path, too. What is not said is told from the
    shape, in which tokens (L, d) and rows (C, T) of a 1-d convolution look alike."""

    def kind(self, path: str) -> TapKind | None:
        """What the layer at a path is said to give: by the longest path that holds it; None where nothing is said."""
        holding = [known for known in self.kinds if path == known or path.startswith(f"{known}.")]
        return self.kinds[max(holding, key=len)] if holding else None


class Model(Part):
    """An architecture; `build` gives fresh weights from torch's current random state.

    It is trained again when its fields change, its code (with the modules it imports from beside it), or a file or
    folder that a field or a string in its code names: weights, a vocabulary (`Part.identity`). What `build` reads from
    anywhere else kdbench cannot know to have changed: override `identity` to say it.
    """

    form: ClassVar[Literal["torch", "estimator"]] = "torch"
    packages: ClassVar[frozenset[str]] = frozenset()
    """Distributions (beside torch) whose version changes what it learns, or its file."""
    layers_from_files: ClassVar[bool] = False
    """Whether `layers` reads them from files, so that it knows none before those are there."""

    def missing(self) -> str | None:
        """Which of its packages is not installed and how to install it, as a sentence; None where nothing is."""
        return None

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

    def publishes(self, name: str) -> bool:
        """Whether `weights: NAME` of a suite names published weights of this model, and no file."""
        return False

    def load_published(self, network: nn.Module, name: str) -> None:
        """Load published weights into a network that `build` gave. Raises KdbenchError where that cannot be done."""
        raise TypeError(f"{type(self).__name__} publishes no weights")

    def load_pretrained(self, network: nn.Module) -> None:
        """Load that file into a network that `build` gave. Raises KdbenchError where it does not fit."""
