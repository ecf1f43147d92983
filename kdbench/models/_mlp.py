"""The network of `mlp`."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from kdbench.models._heads import last_layer
from kdbench.protocols import Output


def mlp(feature_count: int, depth: int, width: int, outputs: Sequence[Output]) -> nn.Sequential:
    """(B, ...) -> what the outputs give: `layer1` to `layer<depth>`, each Linear-ReLU, then `classifier`."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number in range(1, depth + 1):
        modules[f"layer{number}"] = nn.Sequential(nn.Linear(feature_count if number == 1 else width, width), nn.ReLU())
    modules["classifier"] = last_layer(width, outputs)
    return nn.Sequential(modules)
