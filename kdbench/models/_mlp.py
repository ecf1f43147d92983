"""The network of `mlp`."""

from collections import OrderedDict

from torch import nn


def mlp(feature_count: int, depth: int, width: int, class_count: int) -> nn.Sequential:
    """(B, ...) -> (B, classes): `layer1` to `layer<depth>`, each Linear-ReLU, then `classifier`."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number in range(1, depth + 1):
        modules[f"layer{number}"] = nn.Sequential(nn.Linear(feature_count if number == 1 else width, width), nn.ReLU())
    modules["classifier"] = nn.Linear(width, class_count)
    return nn.Sequential(modules)
