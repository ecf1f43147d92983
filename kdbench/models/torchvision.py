"""torchvision's classification models by name, as a declaration; building and weights are in `_torchvision`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from kdbench.errors import ModelError
from kdbench.models import _torchvision_layers
from kdbench.models.inputs import image_shape
from kdbench.protocols import Layers, Model, TaskDescription

if TYPE_CHECKING:
    from torch import nn

Architecture = Literal[
    "alexnet",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_16gf",
    "regnet_x_1_6gf",
    "regnet_x_32gf",
    "regnet_x_3_2gf",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf",
    "regnet_y_16gf",
    "regnet_y_1_6gf",
    "regnet_y_32gf",
    "regnet_y_3_2gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_8gf",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
    "wide_resnet101_2",
    "wide_resnet50_2",
]

ARCHITECTURES: tuple[str, ...] = get_args(Architecture)


class Torchvision(Model):
    """Any of torchvision's classification models, with fresh weights or those of a file.

    Auxiliary classifiers (googlenet, inception_v3) are left out: a model here gives logits and nothing else.

    Layers to tap: by default the stages of the convolutional families (resnet, resnext, wide_resnet, regnet, densenet,
    vgg, mobilenet, mnasnet, shufflenet, efficientnet, convnext), and what the classifier sees where a module gives it.
    No pre-activations, and nothing for the other architectures: there the suite names the layers.
    """

    architecture: Architecture
    """torchvision's name of the model."""
    weights_file: str | None = None
    """A state dict (.pth, .pt, .safetensors) to start from. A last layer of another class count is left fresh."""

    def identity(self) -> dict[str, Any]:
        """The fields, with the weights file replaced by its SHA-256. Raises ModelError when it cannot be read."""
        path = self.pretrained()
        return {**self.to_fields(), "weights_file": _digest(path) if path else None}

    def layers(self) -> Layers:
        return _torchvision_layers.layers(self.architecture)

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError when the architecture cannot take the task's inputs."""
        from kdbench.models import _torchvision

        return _torchvision.build(self.architecture, image_shape(self.architecture, task), task.outputs)

    def has_linear_layers(self) -> bool:
        """Whether it has fully connected layers: squeezenet has none."""
        from kdbench.models import _torchvision

        return _torchvision.has_linear_layers(self.architecture)

    def pretrained(self) -> Path | None:
        return Path(self.weights_file).expanduser() if self.weights_file is not None else None

    def publishes(self, name: str) -> bool:
        """torchvision's names of weights are in capitals: DEFAULT, IMAGENET1K_V1."""
        return name.isupper() and not Path(name).exists()

    def load_published(self, network: nn.Module, name: str) -> None:
        """Raises ModelError where torchvision has no such weights, cannot download them, or they do not fit."""
        from kdbench.models import _torchvision

        _torchvision.load_published(network, self.architecture, name)

    def load_pretrained(self, network: nn.Module) -> None:
        """Raises ModelError when the weights file does not fit."""
        from kdbench.models import _torchvision

        path = self.pretrained()
        if path is not None:
            _torchvision.load_weights(network, path, self.architecture)


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the weights file '{path}' ({error.strerror}).") from None
