"""Networks of timm and transformers, built for a task's classes, and the weights that come with them."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.errors import ModelError, nearest
from kdbench.models._heads import classifier_width, head_path, replace_classifier
from kdbench.protocols import Output, TaskDescription
from kdbench.state_dicts import first_line, fit_exactly

FAILURES = (OSError, RuntimeError, ValueError, KeyError, ImportError)
"""What the two libraries raise for names, folders and files that are not what they should be."""

BLOCK = re.compile(r"(?P<before>.*?\.layer\.)(?P<number>\d+)(?P<after>\..*)")
"""The name of a tensor of a block of transformers, for instance `bert.encoder.layer.3.output.dense.weight`."""


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
    """A model of transformers that takes the task's inputs in order and gives what its classifier does."""

    def __init__(self, network: nn.Module, arguments: tuple[str, ...], class_names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.arguments = arguments
        self.class_names = class_names

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None) -> Tensor:
        inputs = [one for one in (first, second, third) if one is not None]  # not *inputs: it could not be exported
        logits: Tensor = self.network(**dict(zip(self.arguments, inputs, strict=True)), return_dict=True).logits
        return logits


def transformers_network(
    checkpoint: str, task: TaskDescription, blocks: Sequence[int] | None, sizes: Mapping[str, int | None]
) -> nn.Module:
    """A classifier with new weights, of the architecture in a checkpoint's configuration, or a smaller one.

    sizes: width, heads and inner_width where they differ. Raises ModelError.
    """
    import transformers

    kind, arguments = _kind(task)
    width = classifier_width(task.outputs)
    try:
        config = transformers.AutoConfig.from_pretrained(
            _place(checkpoint), num_labels=width or 1, trust_remote_code=False
        )
        _check_texts(config, checkpoint, task)
        _resize(config, checkpoint, blocks, sizes)
        network = getattr(transformers, kind).from_config(config, attn_implementation="eager")
    except FAILURES as error:
        raise ModelError(f"transformers cannot make '{checkpoint}' ({first_line(error)}).") from None
    if width is None:
        replace_classifier(network, task.outputs, checkpoint)
    return Logits(network, arguments, task.class_names)


def _check_texts(config: Any, checkpoint: str, task: TaskDescription) -> None:
    """Raises ModelError where texts have more ids, or are longer, than a model of texts takes."""
    ids = next((one for one in task.inputs if one.role == "values" and one.dtype == "int64"), None)
    if ids is None:
        return
    known = getattr(config, "vocab_size", None)
    if known is not None and ids.values is not None and ids.values > known:
        raise ModelError(
            f"the task's tokenizer has {ids.values:,} tokens and '{checkpoint}' knows {known:,}; give the task the "
            "tokenizer of that folder (text_file: {tokenizer: FOLDER})."
        )
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        longest -= (getattr(config, "pad_token_id", 1) or 0) + 1  # its positions begin behind the padding's id
    most = task.axis(ids.symbolic).most if ids.symbolic else None
    if longest is not None and most is not None and most > longest:
        raise ModelError(f"'{checkpoint}' takes {longest} tokens at most, and the task {most}; lower max_length.")


def _resize(config: Any, checkpoint: str, blocks: Sequence[int] | None, sizes: Mapping[str, int | None]) -> None:
    """Raises ModelError for a block that the checkpoint has not, or sizes that do not go together."""
    if blocks is not None:
        depth = getattr(config, "num_hidden_layers", 0)
        if max(blocks) >= depth:
            raise ModelError(f"blocks: '{checkpoint}' has {depth} blocks, 0 to {depth - 1}, and no {max(blocks)}.")
        config.num_hidden_layers = len(blocks)
    inner = "hidden_dim" if hasattr(config, "hidden_dim") else "intermediate_size"
    for size, name in (("width", "hidden_size"), ("heads", "num_attention_heads"), ("inner_width", inner)):
        if sizes[size] is not None:
            setattr(config, name, sizes[size])
    if any(sizes.values()) and config.hidden_size % config.num_attention_heads:
        raise ModelError(f"{config.num_attention_heads} heads do not divide a width of {config.hidden_size}.")


def freeze(network: nn.Module, paths: Sequence[str]) -> None:
    """The parameters under these module paths are not trained. Raises ModelError for one that is not there."""
    modules = dict(network.named_modules())
    for path in paths:
        if path not in modules:
            raise ModelError(f"frozen: the network has no layer '{path}'. {nearest(path, modules)}")
        modules[path].requires_grad_(False)


def begin_with(network: nn.Module, checkpoint: str, blocks: Sequence[int] | None) -> None:
    """Copy the weights of a checkpoint's body; its classifier only where it has the task's classes.

    blocks: which of its blocks the network has. Raises ModelError.
    """
    assert isinstance(network, Logits)
    body = network.network
    count: int = body.config.num_labels  # type: ignore[union-attr, assignment]  # of transformers' own
    with torch.random.fork_rng(devices=[]):
        theirs, report = _from_checkpoint(type(body), checkpoint, num_labels=count, ignore_mismatched_sizes=True)
    made_up = {*report["missing_keys"], *(one[0] for one in report["mismatched_keys"])}
    state = {name: tensor for name, tensor in theirs.state_dict().items() if name not in made_up}
    if blocks is not None:
        state = _chosen(state, blocks)
    own = body.state_dict()
    taken = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if not taken:
        raise ModelError(f"'{checkpoint}' has no weights for this network.")
    body.load_state_dict({**own, **taken})


def _chosen(state: Mapping[str, Tensor], blocks: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of some blocks, numbered anew in their order, and all that belongs to none."""
    numbers = {str(old): str(new) for new, old in enumerate(blocks)}
    found = {}
    for name, tensor in state.items():
        of_block = BLOCK.match(name)
        if of_block is None:
            found[name] = tensor
        elif of_block["number"] in numbers:
            found[f"{of_block['before']}{numbers[of_block['number']]}{of_block['after']}"] = tensor
    return found


def _from_checkpoint(kind: type[nn.Module], checkpoint: str, **more: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A checkpoint's network with its weights, and what transformers says of them. Raises ModelError."""
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        theirs, report = kind.from_pretrained(  # type: ignore[attr-defined]  # every model of transformers has it
            _place(checkpoint), use_safetensors=True, output_loading_info=True, attn_implementation="eager", **more
        )
    except FAILURES as error:
        raise ModelError(
            f"the weights of '{checkpoint}' cannot be had ({first_line(error)}); name a folder with its config.json "
            "and model.safetensors."
        ) from None
    return theirs, report


def load_transformers(network: nn.Module, checkpoint: str) -> None:
    """Copy the weights of a checkpoint, all of them: its head has the task's classes. Raises ModelError."""
    assert isinstance(network, Logits)
    kind = type(network.network)
    theirs, report = _from_checkpoint(kind, checkpoint)
    made_up = sorted(report["missing_keys"])
    if made_up:
        names = ", ".join(made_up[:3])
        raise ModelError(
            f"'{checkpoint}' has no trained classifier for this task: it lacks {names}; train it first, or name one "
            "that classifies."
        )
    state = theirs.state_dict()
    order = _order(getattr(theirs.config, "id2label", {}), network.class_names)
    if order:
        for name in (f"{head_path(theirs)}.{what}" for what in ("weight", "bias")):
            state[name] = state[name][order]
    fit_exactly(network.network, state, f"the weights of '{checkpoint}'", kind.__name__)


def _order(theirs: Mapping[int, str], ours: Sequence[str]) -> list[int]:
    """Where a checkpoint has each of the task's classes, by their names; empty where its names are others."""
    places = {name.lower(): number for number, name in theirs.items()}
    found = [places.get(name.lower(), -1) for name in ours]
    return found if sorted(found) == list(range(len(theirs))) else []


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
