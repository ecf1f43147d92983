"""Models of timm and transformers by name or from a local folder, as declarations; loading is in `_libraries`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.errors import ModelError
from kdbench.models.inputs import image_shape
from kdbench.protocols import Model, TaskDescription

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

    A task with one image takes a classifier of images; one with ids of tokens (and a mask) a classifier of sequences.
    Attention is computed in its plain form, which can be exported. Nothing of a checkpoint is executed: neither its
    code nor pickles.
    """

    library: ClassVar[str] = "transformers"
    packages: ClassVar[frozenset[str]] = frozenset({"transformers"})

    checkpoint: str = Field(min_length=1)
    """A folder with config.json and model.safetensors, or the name of a checkpoint on the hub."""

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError where transformers is missing, or has no such checkpoint."""
        self.installed()
        from kdbench.models import _libraries

        return _libraries.transformers_network(self.checkpoint, task)

    def load_published(self, network: nn.Module, name: str) -> None:
        """Raises ModelError where the weights cannot be had, or do not fit the task's classes."""
        self.installed()
        from kdbench.models import _libraries

        _libraries.load_transformers(network, self.checkpoint)
