"""Re-sizing the layers of a network to given weights, as a pruned network is rebuilt. Knows no technique."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.errors import TechniqueError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fit_shapes(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give the layers of `model` the channel counts that `state`, tensors by the same names, has.

    Convolutions (grouped and depthwise included), linear layers, embeddings, normalisations and the loose parameters
    of a network's own modules are re-sized in place; the new ones hold no values yet: `model.load_state_dict(state)`
    follows. Layers that fit already, and those of which `state` has no tensor, are not touched.

    Raises TechniqueError when a tensor of any other layer, or a kernel, has another shape.
    """
    for name, layer in model.named_modules(remove_duplicate=False):
        prefix = f"{name}." if name else ""
        own = {key: state[prefix + key] for key in _own_tensors(layer) if prefix + key in state}
        changed = [key for key, tensor in own.items() if tensor.shape != getattr(layer, key).shape]
        if changed:
            _resize(layer, own, prefix + changed[0])


def _own_tensors(layer: nn.Module) -> list[str]:
    """Names of the parameters and buffers that are the layer's own, not its children's."""
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return [name for name, _ in own]


def _resize(layer: nn.Module, own: dict[str, Tensor], changed: str) -> None:
    if isinstance(layer, CONVOLUTIONS) and own["weight"].shape[2:] == layer.weight.shape[2:]:
        _count_convolution(layer, own["weight"])
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = own["weight"].shape
    elif isinstance(layer, nn.Embedding):
        layer.num_embeddings, layer.embedding_dim = own["weight"].shape
    elif isinstance(layer, _BatchNorm):
        layer.num_features = max(tensor.numel() for tensor in own.values())
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(own["weight"].shape)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = own["weight"].numel()
    elif _is_torchs_own(layer) or getattr(layer, _last(changed)).dim() != own[_last(changed)].dim():
        raise TechniqueError(
            f"'{changed}' ({type(layer).__name__}) has another shape in these weights; only the channels of "
            "convolutions, linear layers, embeddings and normalisations can be re-sized: keep the layers around it "
            "from being pruned."
        )
    for key, tensor in own.items():
        _empty(layer, key, tensor)


def _is_torchs_own(layer: nn.Module) -> bool:
    """Whether a layer is a class of torch, which keeps its sizes as numbers beside its tensors."""
    return type(layer).__module__.startswith("torch.nn.")


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _count_convolution(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, weight: Tensor) -> None:
    """Channel counts from a weight (out, in / groups, ...); a depthwise convolution keeps one group a channel."""
    if layer.groups == layer.out_channels:
        layer.groups = weight.shape[0]
    layer.out_channels, layer.in_channels = weight.shape[0], weight.shape[1] * layer.groups


def _empty(layer: nn.Module, key: str, like: Tensor) -> None:
    old = getattr(layer, key)
    new = old.detach().new_empty(like.shape)
    if isinstance(old, nn.Parameter):
        setattr(layer, key, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        setattr(layer, key, new)


def renew(model: nn.Module, fresh: nn.Module) -> None:
    """Give a re-sized `model` the new weights of `fresh`, the same architecture in full width, cut to its size.

    Weights and biases of convolutions and linear layers are multiplied by sqrt(fan-in before / fan-in after): what an
    initialisation that goes by fan-in draws for a layer of that size. One that goes by fan-out (He et al. 2015,
    section 2.2) agrees where a layer's inputs and outputs shrank alike.
    """
    news = dict(fresh.named_modules())
    with torch.no_grad():
        for name, layer in model.named_modules():
            for key in _own_tensors(layer):
                own, new = getattr(layer, key), getattr(news[name], key)
                own.copy_(_scale(layer, news[name]) * _corner(new, own) if own.is_floating_point() else new)


def _corner(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor[tuple(slice(size) for size in like.shape)]


def _scale(layer: nn.Module, fresh: nn.Module) -> float:
    if not isinstance(layer, (*CONVOLUTIONS, nn.Linear)):
        return 1.0
    return math.sqrt(fresh.weight[0].numel() / layer.weight[0].numel())  # type: ignore[index]
