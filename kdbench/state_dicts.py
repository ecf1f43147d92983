"""State dicts in files, of whatever origin: reading them, and saying where they do not fit. Knows no model."""

import pickle
import re
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.errors import ModelError
from kdbench.files import regular

UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, AssertionError, TypeError),
    *(pickle.UnpicklingError, struct.error, SafetensorError),
)
"""Errors that torch and safetensors raise on files that are torn or of another kind (found by trying such files)."""


WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights"),
    *("ema", "ema_state_dict", "model_ema", "shadow"),
)
"""Names under which training scripts keep a state dict in a checkpoint; the first one found is taken, an averaged model
(EMA) only where nothing else is there."""
SHOWN = 5
"""Tensors that do not fit which a sentence names."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""Prefixes that DataParallel, torch.compile and wrapping modules put before every name."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pt or .pth file by name; a checkpoint's entry that holds them is opened.

    Raises ModelError where the file cannot be read or holds no state dict. Nothing in it is executed.
    """
    try:
        regular(path)
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UNREADABLE as error:
        raise ModelError(f"cannot read the weights file '{path}': {_unreadable(error)}.") from None
    while isinstance(state, dict) and not _is_state(state):
        inner = [state[name] for name in WRAPPERS if isinstance(state.get(name), dict)]
        if not inner:
            break
        state = inner[0]
    if not isinstance(state, dict):
        raise ModelError(
            f"the weights file '{path}' holds a {type(state).__name__} and no state dict (tensors by name); save "
            "model.state_dict()."
        )
    if not _is_state(state):
        held = ", ".join(f"'{name}'" for name in list(state)[:5]) or "nothing"
        raise ModelError(
            f"the weights file '{path}' is no state dict (tensors by name): it holds {held}; save model.state_dict()."
        )
    return state


def _is_state(state: dict[Any, Any]) -> bool:
    return bool(state) and all(isinstance(value, Tensor) for value in state.values())


def _unreadable(error: Exception) -> str:
    """Why torch or safetensors would not open a file, without torch's advice to open it unsafely."""
    if isinstance(error, OSError):
        return error.strerror or first_line(error)
    if isinstance(error, SafetensorError):
        return first_line(error)
    refused = re.search(r"(?:GLOBAL|class|global) ([\w.]*\w)", str(error))
    if "Weights only load failed" in str(error) and refused:
        return f"it holds an object ({refused[1]}) beside tensors, which could run code; save model.state_dict() alone"
    return "it is torn, or no file that torch.save wrote"


def renamed_for(own: Collection[str], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the model's own names, where wrappers put a prefix before every one of them."""
    while not set(state) & set(own):
        prefix = next((one for one in PREFIXES if all(name.startswith(one) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def load_exactly(network: nn.Module, path: Path, architecture: str) -> None:
    """Give a network every one of its tensors from a file. Raises ModelError where the two do not fit."""
    fit_exactly(
        network, renamed_for(network.state_dict(), read_state(path)), f"the weights file '{path}'", architecture
    )


def fit_exactly(network: nn.Module, state: dict[str, Tensor], source: str, architecture: str) -> None:
    """Give a network every one of its tensors. Raises ModelError with what does not fit, by name and shape."""
    own = network.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked") and name not in state}
    state = {**{name: own[name] for name in counters}, **state}  # old torch releases kept none, and nothing computes
    unfit = [name for name in {**own, **state} if name not in own or name not in state or misshaped(name, state, own)]
    if unfit:
        told = "; ".join(misfit(name, state, own) for name in unfit[:SHOWN])
        more = f"; and {len(unfit) - SHOWN} more" if len(unfit) > SHOWN else ""
        raise ModelError(f"{source} does not fit {architecture}: {told}{more}.")
    network.load_state_dict(state)


def misshaped(name: str, state: dict[str, Tensor], own: dict[str, Tensor]) -> bool:
    """Whether a tensor that both have differs in shape."""
    return state[name].shape != own[name].shape


def misfit(name: str, state: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """Why a tensor of a file (`state`) and of a model (`own`) do not go together."""
    if name not in own:
        return f"it has '{name}', which the model has not"
    if name not in state:
        return f"it lacks '{name}'"
    return f"'{name}' is {tuple(state[name].shape)}, the model's is {tuple(own[name].shape)}"


def first_line(error: BaseException) -> str:
    """The first line of a message, without colours; the error's type where there is none."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error)).splitlines()]
    return next((line.rstrip(".:") for line in lines if line), type(error).__name__)
