"""Networks of timm and transformers, built for a task's classes, and the weights that come with them."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from kdbench.errors import ModelError
from kdbench.models._heads import classifier_width, replace_classifier
from kdbench.protocols import Output, TaskDescription
from kdbench.state_dicts import first_line, fit_exactly

FAILURES = (OSError, RuntimeError, ValueError, KeyError, ImportError)
"""What the two libraries raise for names, folders and files that are not what they should be."""


def timm_network(architecture: str, shape: tuple[int, int, int], outputs: Sequence[Output]) -> nn.Module:
    """A network of timm with new weights for images of `shape` (channels, height, width). Raises ModelError."""
    import timm

    width = classifier_width(outputs)
    try:
        network: nn.Module = timm.create_model(
            _timm_name(architecture), pretrained=False, in_chans=shape[0], num_classes=width or 1
        )
    except FAILURES as error:
        raise ModelError(f"timm cannot make '{architecture}' ({first_line(error)}).") from None
    if width is None:
        replace_classifier(network, outputs, architecture)
    return network


def load_timm(network: nn.Module, architecture: str) -> None:
    """Copy the weights that come with a model of timm, all of them. Raises ModelError."""
    import timm

    try:
        theirs = timm.create_model(_timm_name(architecture), pretrained=True)
    except FAILURES as error:
        raise ModelError(
            f"timm's weights of '{architecture}' cannot be had ({first_line(error)}); name a local folder."
        ) from None
    fit_exactly(network, theirs.state_dict(), f"timm's weights of '{architecture}'", architecture)


def _timm_name(architecture: str) -> str:
    place = Path(architecture).expanduser()
    return f"local-dir:{place}" if place.is_dir() else architecture


class Logits(nn.Module):
    """A model of transformers that takes the task's inputs in order and gives its logits (B, K)."""

    def __init__(self, network: nn.Module, arguments: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.arguments = arguments

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None) -> Tensor:
        inputs = [one for one in (first, second, third) if one is not None]  # not *inputs: it could not be exported
        logits: Tensor = self.network(**dict(zip(self.arguments, inputs, strict=True)), return_dict=True).logits
        return logits


def transformers_network(checkpoint: str, task: TaskDescription) -> nn.Module:
    """A classifier with new weights, of the architecture in a checkpoint's configuration. Raises ModelError."""
    import transformers

    kind, arguments = _kind(task)
    try:
        config = transformers.AutoConfig.from_pretrained(
            _place(checkpoint), num_labels=task.class_count, trust_remote_code=False
        )
        network = getattr(transformers, kind).from_config(config, attn_implementation="eager")
    except FAILURES as error:
        raise ModelError(f"transformers cannot make '{checkpoint}' ({first_line(error)}).") from None
    return Logits(network, arguments)


def load_transformers(network: nn.Module, checkpoint: str) -> None:
    """Copy the weights of a checkpoint, all of them: its head has the task's classes. Raises ModelError."""
    import transformers

    assert isinstance(network, Logits)
    kind = type(network.network)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        theirs, report = kind.from_pretrained(  # type: ignore[attr-defined]  # every model of transformers has it
            _place(checkpoint), use_safetensors=True, output_loading_info=True, attn_implementation="eager"
        )
    except FAILURES as error:
        raise ModelError(
            f"the weights of '{checkpoint}' cannot be had ({first_line(error)}); name a folder with its config.json "
            "and model.safetensors."
        ) from None
    made_up = sorted(report["missing_keys"])
    if made_up:
        names = ", ".join(made_up[:3])
        raise ModelError(
            f"'{checkpoint}' has no trained classifier for this task: it lacks {names}; train it first, or name one "
            "that classifies."
        )
    fit_exactly(network.network, theirs.state_dict(), f"the weights of '{checkpoint}'", kind.__name__)


def _place(checkpoint: str) -> str:
    place = Path(checkpoint).expanduser()
    return str(place) if place.is_dir() else checkpoint


def _kind(task: TaskDescription) -> tuple[str, tuple[str, ...]]:
    """transformers' class for a task's inputs, and its names of them."""
    if len(task.inputs) == 1 and task.inputs[0].dtype != "int64":
        return "AutoModelForImageClassification", ("pixel_values",)
    named = {"values": "input_ids", "mask": "attention_mask", "segments": "token_type_ids"}
    roles = [one.role for one in task.inputs]
    if any(role not in named for role in roles) or "values" not in roles:
        raise ModelError("a model of transformers takes one image, or ids of tokens with a mask; use another model.")
    return "AutoModelForSequenceClassification", tuple(named[role] for role in roles)
