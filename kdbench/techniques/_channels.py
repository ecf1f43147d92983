"""Removing channels from a network along its dependency graph; knows torch-pruning, and no technique."""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning.pruner.algorithms.base_pruner import BasePruner
from torch_pruning.pruner.importance import GroupMagnitudeImportance

from kdbench.errors import TechniqueError, nearest
from kdbench.techniques._surgery import CONVOLUTIONS, fit_shapes

Importance = Callable[[Any], Tensor]
"""A group of coupled layers -> one number a channel, (C,); the smallest go first."""

PRUNABLE = (*CONVOLUTIONS, nn.Linear)


def importance(criterion: str, seed: int) -> Importance:
    """l1, l2: mean over a group's layers of sum |w|, sum w^2 of a channel; random: uniform numbers from the seed."""
    if criterion == "random":
        generator = torch.Generator().manual_seed(seed)
        return lambda group: torch.rand(len(group[0].idxs), generator=generator)
    score: Importance = GroupMagnitudeImportance(p={"l1": 1, "l2": 2}[criterion])
    return score


def obstacle(model: nn.Module, example: tuple[Tensor, ...], class_count: int) -> str | None:
    """Why no channel of this network can go, as a sentence; None when some can."""
    trial = copy.deepcopy(model).eval()
    order = _execution_order(trial, example)
    if _classifier(order, class_count) is None:
        return f"the model has no linear or convolution layer with {class_count} outputs, so its classifier is unknown."
    if len(order) < 2:
        return "the model has no convolution or linear layer before its classifier to take channels from."
    try:
        _pruner(trial, example, importance("l2", 0))
    except TechniqueError as error:
        return str(error)
    return None


def remove(
    model: nn.Module,
    example: tuple[Tensor, ...],
    class_count: int,
    *,
    channel_fraction: float,
    round_to: int,
    score: Importance,
    keep: Sequence[str],
) -> float:
    """Take channels out of `model`, in place; the share of all output channels that went.

    The surgery happens on a copy, and `model` is re-sized to it by shapes alone: what is returned is known to come
    back from its state dict. Modes, hooks and `requires_grad` of the model stay as they are.

    Raises TechniqueError when a kept layer does not exist, nothing went, or the result cannot run.
    """
    before = _widths(model)
    pruned = copy.deepcopy(model).eval()
    ignored = [_classifier(_execution_order(pruned, example), class_count), *(_layer(pruned, name) for name in keep)]
    _pruner(pruned, example, score, pruning_ratio=channel_fraction, round_to=round_to, ignored_layers=ignored).step()
    removed = 1 - sum(_widths(pruned).values()) / sum(before.values())
    if removed == 0:
        raise TechniqueError(
            f"nothing was removed: with round_to {round_to} and channel_fraction {channel_fraction} every layer stays "
            f"as wide as it is (widths {sorted(set(before.values()))}); lower round_to, or keep fewer layers."
        )
    fit_shapes(model, pruned.state_dict())
    model.load_state_dict(pruned.state_dict())
    _check_runs(copy.deepcopy(model).eval(), example, class_count)
    return removed


def _pruner(model: nn.Module, example: Any, score: Importance, **options: Any) -> Any:
    """The library's pruner, its dependency graph built. Raises TechniqueError where it cannot follow the network."""
    model.requires_grad_(True)  # it reads the graph off the gradient functions
    # its defaults are dictionaries shared by every pruner of the process, which would keep the models alive
    own: dict[str, Any] = {"in_channel_groups": {}, "out_channel_groups": {}, "num_heads": {}}
    with torch.enable_grad(), warnings.catch_warnings():
        _refuse_splits(model, example)
        # loose parameters are pruned by a guess; fit_shapes refuses the result if one of them changed
        warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
        return BasePruner(model, example, score, **own, **options)


def _refuse_splits(model: nn.Module, example: tuple[Tensor, ...]) -> None:
    """On a channel shuffle the library's lists of indices grow until memory is full, so it never sees one."""
    with _SplitWatch() as watch:
        model(*example)
    if watch.seen:
        raise TechniqueError(
            "the model splits an axis of its features in two (a channel shuffle, attention heads), and channels cannot "
            "be followed through that; structured pruning is for networks without."
        )


class _SplitWatch(TorchFunctionMode):
    """Notices reshapes of features after which there are more axes longer than 1."""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("view", "reshape", "unflatten") and args[0].requires_grad:
            self.seen |= _long_axes(result) > _long_axes(args[0])
        return result


def _long_axes(tensor: Tensor) -> int:
    return sum(size > 1 for size in tensor.shape)


def _check_runs(model: nn.Module, example: tuple[Tensor, ...], class_count: int) -> None:
    try:
        with torch.no_grad():
            shape = model(*example).shape[1:]
    except RuntimeError as error:
        raise TechniqueError(
            f"the model cannot run without the channels that were taken ({str(error).splitlines()[0]}); name the "
            "layers whose widths its code relies on in 'keep'."
        ) from error
    if shape != (class_count,):
        raise TechniqueError(f"pruning changed the model's outputs to {tuple(shape)}; {class_count} were expected.")


def _layer(model: nn.Module, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules:
        raise TechniqueError(f"keep: the model has no layer '{name}'. {nearest(name, filter(None, modules))}")
    return modules[name]


def _widths(model: nn.Module) -> dict[str, int]:
    """Output channels of each convolution and linear layer."""
    return {name: layer.weight.shape[0] for name, layer in model.named_modules() if isinstance(layer, PRUNABLE)}


def _classifier(order: Sequence[Any], class_count: int) -> nn.Module | None:
    """The last layer to run that has as many outputs as there are classes."""
    return next((layer for layer in reversed(order) if layer.weight.shape[0] == class_count), None)


def _execution_order(model: nn.Module, example: tuple[Tensor, ...]) -> list[nn.Module]:
    """Convolutions and linear layers as they run."""
    order: list[nn.Module] = []
    layers = [layer for layer in model.modules() if isinstance(layer, PRUNABLE)]
    hooks = [layer.register_forward_hook(lambda layer, *_: order.append(layer)) for layer in layers]
    with torch.no_grad():
        model(*example)
    for hook in hooks:
        hook.remove()
    return order
