"""The layers whose weights compression works on: convolutions and linear layers, by name. Knows no technique."""

from collections.abc import Mapping, Sequence

from torch import nn

from kdbench.errors import TechniqueError, nearest
from kdbench.techniques.surgery import CONVOLUTIONS


def weighted(model: nn.Module, keep: Sequence[str] = ()) -> dict[str, nn.Module]:
    """The convolutions and linear layers by path, in the network's order, each weight once, without those of `keep`.

    keep: names of layers, or of blocks, whose layers are all left out.

    Raises TechniqueError where a kept layer does not exist.
    """
    modules = dict(model.named_modules())
    for name in keep:
        if not name or name not in modules:
            hint = nearest(name, [path for path in modules if path])
            raise TechniqueError(f"keep: the model has no layer '{name}'. {hint}")
    kept = {inner for name in keep for inner in modules[name].modules()}
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, layer in modules.items():
        if isinstance(layer, (*CONVOLUTIONS, nn.Linear)) and layer not in kept:
            found.setdefault(id(layer.weight), (name, layer))
    return dict(found.values())


def computed_weights(layers: Mapping[str, nn.Module]) -> str | None:
    """Why the weights of these layers cannot be changed, as a sentence; None where each is a parameter of its own."""
    computed = [name for name, layer in layers.items() if "weight" not in layer._parameters]
    if not computed:
        return None
    return (
        f"the weight of '{computed[0]}' is no parameter but computed from others (weight_norm, spectral_norm or "
        "another parametrization), so it cannot be changed; build the model without, or end its build() with "
        "torch.nn.utils.parametrize.remove_parametrizations."
    )
