"""Models of timm and transformers by name or from a local folder, as declarations; loading is in `_libraries`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from kdbench.errors import ModelError
from kdbench.models.inputs import image_shape
from kdbench.models.transformers_layers import known_layers
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn

PRETRAINED = "pretrained"
"""`weights: pretrained` of a suite: the weights that come with the name or the folder."""


class _Library(Model):
    """A model that another library builds and has weights for.

    `weights: pretrained` beside it in a suite takes those weights, so that the student is given; `weights: FILE` takes
    a state dict of your own. No layers to tap by default: the suite names them by module path.
    """

    library: ClassVar[str]

    def missing(self) -> str | None:
        """A sentence where the library is not installed."""
        if importlib.util.find_spec(self.library) is None:
            return f"{self.library} is not installed; type: pip install 'kdbench[{self.library}]'"
        return None

    def publishes(self, name: str) -> bool:
        """Whether this is the name of the weights that come with the model."""
        return name == PRETRAINED

    def installed(self) -> None:
        """Raises ModelError where the library is not there."""
        reason = self.missing()
        if reason is not None:
            raise ModelError(f"{reason}.")


class Timm(_Library):
    """Any image classifier of timm (PyTorch Image Models), by its name or from a folder that timm has saved."""

    library: ClassVar[str] = "timm"
    packages: ClassVar[frozenset[str]] = frozenset({"timm"})

    architecture: str = Field(min_length=1)
    """timm's name (`resnet18.a1_in1k`, `vit_tiny_patch16_224`), or a folder with its config.json and weights."""

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError where timm is missing, has no such model, or it cannot take the task's images."""
        self.installed()
        from kdbench.models import _libraries

        shape = image_shape(self.architecture, task)
        return _libraries.timm_network(self.architecture, shape, task.outputs)

    def load_published(self, network: nn.Module, name: str) -> None:
        """Raises ModelError where the weights cannot be had, or do not fit the task's classes."""
        self.installed()
        from kdbench.models import _libraries

        _libraries.load_timm(network, self.architecture)


class Transformers(_Library):
    """A classifier of images or of texts of Hugging Face's transformers, by its name or from a local folder.

    A task with one image takes a classifier of images; one with ids of tokens (and a mask) a classifier of sequences,
    whose ids are those of the checkpoint's own tokenizer: `text_file: {tokenizer: FOLDER}`. Where a
    checkpoint names its classes as the task does, they are put in the task's order. Attention is computed in its plain
    form, which can be exported. Nothing of a checkpoint is executed: neither its code nor pickles.

    `from_checkpoint: true` begins a training with its weights and a new classifier on top (a teacher, say);
    without it the weights are new and the checkpoint says the architecture alone. A smaller one is made by `blocks`,
    `width`, `heads` and `inner_width`. Of a folder of the BERT, RoBERTa, ELECTRA and DistilBERT families techniques
    know the blocks (`network.bert.encoder.layer.0` ...), embeddings and attention.
    """

    library: ClassVar[str] = "transformers"
    packages: ClassVar[frozenset[str]] = frozenset({"transformers"})
    layers_from_files: ClassVar[bool] = True

    checkpoint: str = Field(min_length=1)
    """A folder with config.json and model.safetensors, or the name of a checkpoint on the hub."""
    from_checkpoint: bool = False
    """Whether training begins with the checkpoint's weights; a classifier that it has not is new."""
    blocks: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(None, min_length=1)
    """Which of the checkpoint's blocks the network has, from 0 and in their order; by default all."""
    width: int | None = Field(None, gt=0)
    """Numbers a token, where others than the checkpoint's; with new weights only."""
    heads: int | None = Field(None, gt=0)
    """Attention heads, where others than the checkpoint's; with new weights only."""
    inner_width: int | None = Field(None, gt=0)
    """Units between a block's two linear layers, where others than the checkpoint's; with new weights only."""
    frozen: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Module paths that are not trained, for instance `network.bert.embeddings`."""

    @model_validator(mode="after")
    def _sizes_are_new(self) -> Self:
        changed = next((name for name in ("width", "heads", "inner_width") if getattr(self, name) is not None), None)
        if self.from_checkpoint and changed is not None:
            raise ValueError(
                f"the checkpoint's weights have sizes of their own; leave out {changed}, or from_checkpoint"
            )
        return self

    def layers(self) -> Layers:
        """The layers of a local folder's network where its family's modules are known; else none."""
        return known_layers(self.checkpoint, self.blocks, self.width, self.heads)

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError where transformers is missing, has no such checkpoint, or it cannot take the task."""
        self.installed()
        from kdbench.models import _libraries

        sizes = {"width": self.width, "heads": self.heads, "inner_width": self.inner_width}
        network = _libraries.transformers_network(self.checkpoint, task, self.blocks, sizes)
        _libraries.freeze(network, self.frozen)
        return network

    def load_pretrained(self, network: nn.Module) -> None:
        """Raises ModelError where the weights cannot be had."""
        if not self.from_checkpoint:
            return
        from kdbench.models import _libraries

        _libraries.begin_with(network, self.checkpoint, self.blocks)

    def load_published(self, network: nn.Module, name: str) -> None:
        """Raises ModelError where the weights cannot be had, or do not fit the task's classes."""
        self.installed()
        from kdbench.models import _libraries

        _libraries.load_transformers(network, self.checkpoint)
