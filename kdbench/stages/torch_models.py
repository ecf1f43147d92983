"""A torch model as files: what it was declared as, the techniques that changed its structure, and its tensors."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdbench.errors import ModelError
from kdbench.protocols import Model, TaskDescription, Technique
from kdbench.protocols.part import PartSpec
from kdbench.stages import _partial

DECLARATION = "model.json"
WEIGHTS = "model.safetensors"
RESTORED_BY = "restored_by"
"""The key in the declaration's file under which the techniques stand that changed the structure."""


def fresh(part: PartSpec, task: TaskDescription, seed: int) -> nn.Module:
    """A network with new weights that depend on the seed only, or with those of its weights file."""
    torch.manual_seed(seed)
    model: Model = part.build()
    network = _partial.built(model, part, task)
    model.load_pretrained(network)
    return network


def declared(part: PartSpec, task: TaskDescription) -> nn.Module:
    """The network as it was declared, its weights of no meaning; torch's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        network = _partial.built(part.build(), part, task)
    return network


def save(model: nn.Module, part: PartSpec, folder: Path, changed_by: Sequence[PartSpec] = ()) -> None:
    """Write a model. part: the declaration it came from; changed_by: the techniques that changed its structure since.

    A tensor that stands under two names (a layer used twice) is written under both.
    """
    save_declaration(part, folder, changed_by)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / WEIGHTS)


def save_declaration(part: PartSpec, folder: Path, changed_by: Sequence[PartSpec] = ()) -> None:
    """Write what the model in a folder is."""
    data = {**dataclasses.asdict(part), RESTORED_BY: [dataclasses.asdict(one) for one in changed_by]}
    (folder / DECLARATION).write_text(json.dumps(data), encoding="utf-8")


def declaration(folder: Path) -> PartSpec:
    """The declaration of the model in a folder, whatever surgery it went through."""
    data = json.loads((folder / DECLARATION).read_text(encoding="utf-8"))
    data.pop(RESTORED_BY, None)
    return PartSpec.from_data(data)


def changed_by(folder: Path) -> list[PartSpec]:
    """The techniques that changed the structure of the model in a folder, in their order."""
    return [
        PartSpec.from_data(one)
        for one in json.loads((folder / DECLARATION).read_text(encoding="utf-8")).get(RESTORED_BY, [])
    ]


def load(folder: Path, task: TaskDescription, device: torch.device) -> nn.Module:
    """The model that `save` wrote, in eval mode; torch's random state is left as it was."""
    techniques = [one.build() for one in changed_by(folder)]
    model = rebuilt(declaration(folder), techniques, load_file(folder / WEIGHTS), task)
    return model.to(device).eval()


def rebuilt(
    part: PartSpec, techniques: Sequence[Technique], state: dict[str, Tensor], task: TaskDescription
) -> nn.Module:
    """A declared network that the techniques restore to the structure of `state`, which it then holds.

    Raises ModelError where it has other tensors then than `state` has.
    """
    model = declared(part, task)
    for technique in techniques:
        model = technique.restore(model, state, task)
    own = model.state_dict()
    unlike = [name for name in {**own, **state} if name not in own or name not in state]
    unlike += [name for name in own if name in state and own[name].shape != state[name].shape]
    if unlike:
        raise ModelError(
            f"{part.name} cannot be built again from its tensors ({', '.join(unlike[:3])}); a technique that changes "
            "a network's structure restores it in restore()."
        )
    model.load_state_dict(state)
    return model


def restores(technique: Technique) -> bool:
    """Whether a technique changes the structure of networks, so that it is needed to build them again."""
    return type(technique).restore is not Technique.restore


@torch.no_grad()
def placed(model: nn.Module, device: torch.device, example: tuple[Tensor, ...]) -> nn.Module:
    """The model on a device, its convolutions computing channels last where its code can take that.

    Channels last takes 0.75 of the time of a ResNet-20 step on a CPU, and was never slower where it was tried. Code
    that views features as rows (`x.view(x.size(0), -1)`) needs them one channel after the other.
    """
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            model.eval()(*(tensor.to(device) for tensor in example))
    except RuntimeError as error:
        if "view" not in str(error):
            raise
        model.to(memory_format=torch.contiguous_format)
    finally:
        for module, mode in modes:
            module.training = mode
    return model


def is_network(folder: Path) -> bool:
    """Whether a stage's folder holds a torch model, and not an ONNX file alone."""
    return (folder / WEIGHTS).exists()
