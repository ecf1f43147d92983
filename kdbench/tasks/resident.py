"""A task's decoded splits on the device of training, so that no batch is carried there. Never run on a GPU so far."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdbench.ragged import Ragged, Stored
from kdbench.tasks.arrays import ArrayData, Split

SHARE = 0.25
"""The most of a device's free memory that the data may take; the rest is the networks'."""


@dataclass(frozen=True)
class ResidentSplit:
    """A split's arrays as tensors on a device, as they were stored."""

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]


def resident_splits(data: ArrayData, device: torch.device) -> dict[str, ResidentSplit]:
    """The splits that training asks for, by name, where they fit on the device.

    None on a processor, which has the mapped arrays at hand, and none where the lengths of examples vary.
    """
    splits = {name: data.split(name) for name in ("train", "validation") if data.count(name)}
    arrays = [array for split in splits.values() for array in (*split.inputs, *split.targets)]
    if any(isinstance(array, Ragged) for array in arrays) or sum(map(_bytes, arrays)) > room_bytes(device):
        return {}
    return {name: _brought(split, device) for name, split in splits.items()}


def room_bytes(device: torch.device) -> float:
    """How many bytes of data a device may take."""
    return SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _bytes(array: Stored) -> int:
    return 0 if isinstance(array, Ragged) else array.nbytes


def _brought(split: Split, device: torch.device) -> ResidentSplit:
    inputs, targets = (tuple(_tensor(array, device) for array in arrays) for arrays in (split.inputs, split.targets))
    return ResidentSplit(inputs, targets)


def _tensor(array: Stored, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)  # a copy: the map is read-only
