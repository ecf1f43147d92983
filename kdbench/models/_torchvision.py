"""torchvision's models, made for a task's image size and class count, and their weight files."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torchvision.models import get_model, get_model_weights  # type: ignore[attr-defined]  # re-exported silently

from kdbench.errors import ModelError, nearest
from kdbench.models._heads import classifier_width, head_path, replace_classifier
from kdbench.protocols import Output
from kdbench.state_dicts import first_line, fit_exactly, misfit, read_state, renamed_for

log = logging.getLogger(__name__)

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Prefixes of googlenet's and inception_v3's auxiliary classifiers, which published weight files carry."""


def build(architecture: str, shape: tuple[int, int, int], outputs: Sequence[Output]) -> nn.Module:
    """A network with fresh weights for images of `shape` (channels, height, width).

    Raises ModelError when the architecture cannot take such images, before anything is computed.
    """
    if shape[0] != 3:
        raise ModelError(f"{architecture} takes images of 3 channels, the task's have {shape[0]}; use cnn or a resnet.")
    width = classifier_width(outputs)
    options = {"weights": None, "num_classes": width or 1, **_options(architecture, shape)}
    try:
        model: nn.Module = get_model(architecture, **options)
        if width is None:
            replace_classifier(model, outputs, architecture)
        _try_out(model, shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        size = f"{shape[1]}x{shape[2]}"
        raise ModelError(
            f"{architecture} cannot take images of {size} ({first_line(error)}); use another image size."
        ) from None
    return model


def _try_out(model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Run the network on meta tensors, which have shapes and no numbers: an impossible image size fails at once."""
    shapes = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    with torch.no_grad():
        functional_call(model.eval(), shapes, torch.empty(2, *shape, device="meta"))
    model.train()


def _options(architecture: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Further arguments that the builders of some families need."""
    if architecture in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    if architecture.startswith("vit_"):
        return {"image_size": shape[1]}
    if architecture.startswith("maxvit_"):
        return {"input_size": shape[1:]}
    return {}


def load_weights(model: nn.Module, path: Path, architecture: str) -> None:
    """Copy a state dict into `model`; what does not fit of the last layer is left as it is, and logged.

    Raises ModelError when the file cannot be read, or anything else in it does not fit.
    """
    own = model.state_dict()
    read = renamed_for(own, read_state(path))
    state = {name: value for name, value in read.items() if not name.startswith(AUXILIARY)}
    last = f"{head_path(model)}."
    unfit = sorted(name for name in own if name not in state or state[name].shape != own[name].shape)
    foreign = sorted(state.keys() - own.keys())
    wrong = [name for name in (*unfit, *foreign) if not name.startswith(last)]
    if wrong:
        reason = misfit(wrong[0], state, own)
        raise ModelError(f"the weights file '{path}' does not fit {architecture}: {reason}; name its own architecture.")
    if unfit:
        log.warning("%s: %s did not fit the task's outputs and kept fresh weights.", path, ", ".join(unfit))
    model.load_state_dict({**own, **{name: state[name] for name in own if name not in unfit}})


def load_published(model: nn.Module, architecture: str, name: str) -> None:
    """Copy torchvision's published weights into `model`: all of them, so the task has their classes.

    They are downloaded once, into torch's cache folder. Raises ModelError.
    """
    known = get_model_weights(architecture).__members__
    if name not in known:
        raise ModelError(f"torchvision has no weights '{name}' of {architecture}. {nearest(name, known)}")
    try:
        read = known[name].get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"{architecture}'s weights {name} cannot be downloaded ({first_line(error)}); load {known[name].url} where "
            "there is a network, and name the file."
        ) from None
    state = {key: value for key, value in read.items() if not key.startswith(AUXILIARY)}
    fit_exactly(model, state, f"{architecture}'s weights {name}", architecture)


def has_linear_layers(architecture: str) -> bool:
    """Whether torchvision's network has fully connected layers, found without making its weights."""
    with torch.device("meta"):
        model = get_model(architecture, weights=None)
    return any(isinstance(module, nn.Linear) for module in model.modules())
