"""State dicts in files, of whatever origin: reading them, and saying where they do not fit. Knows no model."""

import pickle
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.errors import ModelError

UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, AssertionError, TypeError),
    *(pickle.UnpicklingError, struct.error, SafetensorError),
)
"""What torch and safetensors raise on files that are torn or of another kind, found by feeding them such files."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pt or .pth file by name; a wrapping `state_dict` or `model` entry is opened.

    Raises ModelError where the file cannot be read or holds no state dict. Nothing in it is executed.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UNREADABLE as error:
        raise ModelError(f"cannot read the weights file '{path}' ({first_line(error)}).") from None
    if isinstance(state, dict):
        wrapped = [state[name] for name in ("state_dict", "model") if isinstance(state.get(name), dict)]
        state = wrapped[0] if wrapped else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"the weights file '{path}' is no state dict (tensors by name); save model.state_dict().")
    return state


def load_exactly(network: nn.Module, path: Path, architecture: str) -> None:
    """Give a network every one of its tensors from a file. Raises ModelError where the two do not fit."""
    state, own = read_state(path), network.state_dict()
    unfit = [name for name in {**own, **state} if name not in own or name not in state or misshaped(name, state, own)]
    if unfit:
        raise ModelError(f"the weights file '{path}' does not fit {architecture}: {misfit(unfit[0], state, own)}.")
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
    """The first line of a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
