"""A torch model as files: its declaration, and its tensors, by whose names and shapes a compressed one is rebuilt."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kdbench.protocols import Model, TaskDescription
from kdbench.protocols.part import PartSpec
from kdbench.techniques.quantization import _fake_quantized
from kdbench.techniques.surgery import fit_shapes
from kdbench.techniques.weights._split import split_like

DECLARATION = "model.json"
WEIGHTS = "model.safetensors"


def fresh(part: PartSpec, task: TaskDescription, seed: int) -> nn.Module:
    """A network with new weights that depend on the seed only, or with those of its weights file."""
    torch.manual_seed(seed)
    model: Model = part.build()
    network = model.build(task)
    model.load_pretrained(network)
    return network


def save(model: nn.Module, part: PartSpec, folder: Path) -> None:
    """Write a model; `part` is the declaration it came from, whatever surgery it went through since."""
    save_declaration(part, folder)
    save_file({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)


def save_declaration(part: PartSpec, folder: Path) -> None:
    """Say in a model's folder what it is."""
    (folder / DECLARATION).write_text(json.dumps(dataclasses.asdict(part)))


def declaration(folder: Path) -> PartSpec:
    """The declaration that `save` or `save_declaration` wrote."""
    return PartSpec.from_data(json.loads((folder / DECLARATION).read_text()))


def load(folder: Path, task: TaskDescription, device: torch.device) -> nn.Module:
    """The model that `save` wrote, in eval mode; torch's random state is left as it was."""
    state = load_file(folder / WEIGHTS)
    ranges = _fake_quantized.take_ranges(state)
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = declaration(folder).build().build(task)
        split_like(model, state)
    fit_shapes(model, state)
    model.load_state_dict(state)
    if ranges:
        model = _fake_quantized.restored(model, ranges, task.input_shapes)
    return model.to(device).eval()


def is_network(folder: Path) -> bool:
    """Whether a stage's folder holds a torch model, and not an ONNX file alone."""
    return (folder / WEIGHTS).exists()
