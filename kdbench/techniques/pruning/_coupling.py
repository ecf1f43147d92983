"""Finding the channels of a network that can only be removed together. Knows torch-pruning and no technique."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch_pruning.dependency import DependencyGraph
from torch_pruning.ops import OPTYPE

from kdbench import functional as F
from kdbench.errors import TechniqueError, nearest
from kdbench.techniques.pruning._layout import Layout
from kdbench.techniques.surgery import CONVOLUTIONS
from kdbench.techniques.weighted_layers import computed_weights

PRUNABLE = (*CONVOLUTIONS, nn.Linear)
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)

Side = Literal["out", "in", "norm", "loose"]
"""What runs along channels: a layer's outputs or inputs, a normalisation's vectors, or a loose parameter."""


@dataclass(frozen=True)
class Member:
    """One side of a layer, or a loose parameter, along which a set's channels run."""

    name: str
    """Path of the layer; for a loose parameter its name in the state dict."""
    layer: Any
    side: Side
    places: Tensor
    """Indices along that side, (L,); several for a channel where features were flattened."""
    channels: Tensor
    """For each of these places the number of its channel in the set, (L,)."""
    dim: int = 0
    """The dimension of a loose parameter that holds channels."""


@dataclass(frozen=True)
class Coupled:
    """A set of channels coupled through sums, depthwise convolutions and normalisations: one index, many tensors."""

    name: str
    """Path of a layer whose outputs these channels are."""
    width: int
    blocks: int
    """Number of equal parts that must stay equal: the groups of a grouped convolution."""
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Traced:
    """A network's coupled channels, without those that stay. `model` is a copy, in eval mode, with gradients."""

    model: nn.Module
    sets: tuple[Coupled, ...]
    uses: dict[nn.Module, int]
    """For each prunable layer the positions of its output, summed over its calls: how often a weight is used."""
    shuffles: bool
    """Whether channels stay because they are shuffled."""

    @property
    def free_fraction(self) -> float:
        """Share of all layers' output channels that may go."""
        written = [member for one in self.sets for member in one.members if member.side == "out"]
        every: int = sum(layer.weight.shape[0] for layer in self.uses)  # type: ignore[misc, index]
        return sum(len(member.places) for member in written) / every


def obstacle(
    model: nn.Module, example: tuple[Tensor, ...], widths: Sequence[int], keep: Sequence[str] = ()
) -> str | None:
    """Why no channel of this network can go, as a sentence; None when some can."""
    try:
        traced = trace(model, example, widths, keep)
    except TechniqueError as error:
        return str(error)
    if traced.sets or keep:
        return None
    return "every channel of the model is tied to its outputs or goes through a channel shuffle, so none can go."


def trace(model: nn.Module, example: tuple[Tensor, ...], widths: Sequence[int], keep: Sequence[str] = ()) -> Traced:
    """The sets of channels that may be removed: not the model's outputs, nor the layers that `keep` names.

    widths: of each of the model's outputs the number of its classes or values, in order.

    Channels that are shuffled stay, with all that they are added to. Raises TechniqueError where the network cannot be
    followed, or a kept layer does not exist.
    """
    refusal = computed_weights({name: layer for name, layer in model.named_modules() if isinstance(layer, PRUNABLE)})
    if refusal is not None:
        raise TechniqueError(refusal)
    traced = copy.deepcopy(model).eval().requires_grad_(True)  # the graph is read off the gradient functions
    uses = _uses(traced, example)
    stays = {
        *_last_layers(list(uses), widths),
        *(inner for name in keep for inner in _layer(traced, name).modules()),
    }
    splits, layout = _Splits(), Layout()
    layout.follow(traced, example, uses)
    with torch.enable_grad(), warnings.catch_warnings():
        # it takes a loose parameter's last dimension for its channels; whoever cuts checks that the result works
        warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
        graph: Any = DependencyGraph().build_dependency(traced, example, splits.forward)  # type: ignore[no-untyped-call]
        groups = graph.get_all_groups(ignored_layers=list(stays), root_module_types=list(PRUNABLE))
        sets = [_coupled(graph, group) for group in groups if not _tied(group, cut=bool(splits.before))]
    even = (_placed(one, layout) for one in sets if not _uneven(one))
    return Traced(traced, tuple(even), uses, bool(splits.before))


def _placed(channels: Coupled, layout: Layout) -> Coupled:
    """The set, with the places where its channels really lie in the inputs of layers.

    The library takes flattened features for channels one after the other; where they were moved before, the places that
    the layout found stand in. Raises TechniqueError where a place is beyond a layer's channels: they were split.
    """
    numbers = {
        (member.layer, place): channel
        for member in channels.members
        if member.side == "out"
        for place, channel in zip(member.places.tolist(), member.channels.tolist(), strict=True)
    }
    members = []
    for member in channels.members:
        if member.side == "loose":
            members.append(member)
            continue
        lying = layout.channels(member.layer) if member.side == "in" else None
        if lying is not None:
            found = [(place, numbers[one]) for place, one in enumerate(lying) if one is not None and one in numbers]
            if sorted(zip(member.places.tolist(), member.channels.tolist(), strict=True)) != found:
                places, own = zip(*found, strict=True) if found else ((), ())
                member = replace(member, places=torch.tensor(places), channels=torch.tensor(own))
        beyond = bool((member.places >= _side_width(member)).any())
        if beyond or not len(member.places) or len(set(member.places.tolist())) < len(member.places):
            raise TechniqueError(
                f"the channels of '{member.name}' are split or joined in a way that cannot be followed; name it in "
                "'keep'."
            )
        members.append(member)
    return replace(channels, members=tuple(members))


def _side_width(member: Member) -> int:
    """The number of a layer's channels on a member's side."""
    layer = member.layer
    if member.side == "in":
        return int(layer.weight.shape[1] * getattr(layer, "groups", 1))
    if member.side == "norm" and isinstance(layer, _BatchNorm):
        return layer.num_features
    return int(layer.weight.shape[0])


def _coupled(graph: Any, group: Any) -> Coupled:
    """A set of channels from torch-pruning's group of pruning steps."""
    members = tuple(_members(graph, group))
    grouped = (m.layer.groups for m in members if isinstance(m.layer, CONVOLUTIONS) and not depthwise(m.layer))
    normed = (m.layer.num_groups for m in members if isinstance(m.layer, nn.GroupNorm))
    return Coupled(members[0].name, len(group[0].idxs), max([1, *grouped, *normed]), members)


def _uneven(channels: Coupled) -> bool:
    """Whether a grouped convolution has only some of its channels here, so that its groups could not stay equal."""
    grouped = (m for m in channels.members if m.side in ("in", "out") and getattr(m.layer, "groups", 1) > 1)
    return any(len(m.places) != (m.layer.in_channels if m.side == "in" else m.layer.out_channels) for m in grouped)


def _members(graph: Any, group: Any) -> Iterator[Member]:
    loose = {parameter: name for name, parameter in graph.model.named_parameters()}
    for item in group:
        layer = item.dep.target.module
        places, channels = torch.tensor(item.idxs), torch.tensor(item.root_idxs)
        if isinstance(layer, nn.Parameter):
            yield Member(loose[layer], layer, "loose", places, channels, item.dep.target.pruning_dim)
        elif isinstance(layer, PRUNABLE):
            writes = depthwise(layer) or graph.is_out_channel_pruning_fn(item.dep.handler)
            yield Member(graph._module2name[layer], layer, "out" if writes else "in", places, channels)
        elif isinstance(layer, NORMS):
            yield Member(graph._module2name[layer], layer, "norm", places, channels)
        elif any(True for _ in layer.parameters()):
            raise TechniqueError(
                f"channels go through '{graph._module2name[layer]}' ({type(layer).__name__}), and structured pruning "
                "knows how to take them out of convolutions, linear layers and normalisations only."
            )


def depthwise(layer: nn.Module) -> bool:
    """Whether a convolution works on each channel by itself."""
    return isinstance(layer, CONVOLUTIONS) and layer.groups == layer.out_channels > 1


def _uses(model: nn.Module, example: tuple[Tensor, ...]) -> dict[nn.Module, int]:
    """Output positions of each convolution and linear layer, in the order in which they run."""
    uses: dict[nn.Module, int] = {}

    def count(layer: Any, inputs: object, output: Tensor) -> None:
        positions = output.numel() // (len(output) * layer.weight.shape[0])
        uses[layer] = uses.pop(layer, 0) + positions

    layers = [layer for layer in model.modules() if isinstance(layer, PRUNABLE)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model(*example)
    for hook in hooks:
        hook.remove()
    return uses


def _last_layers(order: Sequence[Any], widths: Sequence[int]) -> list[nn.Module]:
    """For each output, the last one first, the last layer to run that has as many outputs and is not another's.

    Raises TechniqueError without one.
    """
    found: list[nn.Module] = []
    for width in reversed(widths):
        rest = (layer for layer in reversed(order) if layer.weight.shape[0] == width and layer not in found)
        last = next(rest, None)
        if last is None:
            raise TechniqueError(
                f"the model has no linear or convolution layer with {width} outputs, so its classifier is unknown."
            )
        found.append(last)
    if len(order) <= len(found):
        raise TechniqueError(
            "the model has no convolution or linear layer before its classifier to take channels from."
        )
    return found


def _layer(model: nn.Module, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if not name or name not in modules:
        legal = [
            path for path, module in modules.items() if path and any(isinstance(m, PRUNABLE) for m in module.modules())
        ]
        hint = nearest(name, legal)
        every = f" It has: {', '.join(legal)}." if "mean" in hint else ""
        raise TechniqueError(f"keep: the model has no layer '{name}'. {hint}{every}")
    return modules[name]


class _Splits(TorchFunctionMode):
    """Cuts the graph where a reshape gives features more axes longer than 1, which is how a channel shuffle begins.

    Behind it the library's lists of indices would grow until memory is full, so it never sees one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Tensor] = []
        """The tensors that were reshaped so."""
        self.attention = False

    def forward(self, model: nn.Module, example: Any) -> Any:
        """The outputs and all that goes into a shuffle; copies, so that the graph has a node of its own for each.

        Raises TechniqueError where the model computes attention.
        """
        with self:
            outputs = F.outputs_of(model(*example), model)
        if self.attention:
            raise TechniqueError(
                "the model computes attention, whose heads share out the features, and channels cannot be followed "
                "through that; structured pruning is for networks without."
            )
        return [tensor.clone() for tensor in (*outputs, *self.before)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        self.attention |= name == "multi_head_attention_forward"
        self.attention |= name in ("softmax", "scaled_dot_product_attention") and bool(self.before)
        splits = name in ("view", "reshape", "unflatten") and args[0].requires_grad
        if splits and _long_axes(result) > _long_axes(args[0]):
            self.before.append(args[0])
            return result.detach()
        return result


def _long_axes(tensor: Tensor) -> int:
    return sum(size > 1 for size in tensor.shape)


def _tied(group: Any, cut: bool) -> bool:
    """Whether channels reach an output or a cut of the graph, or meet what comes out of a cut."""
    nodes = [item.dep.target for item in group]
    return any(node.type == OPTYPE.OUTPUT or (cut and _meets_a_constant(node)) for node in nodes)


def _meets_a_constant(node: Any) -> bool:
    """Whether something without gradients runs along the node's own channels: what comes out of a cut (or a number)."""
    sources = [source for source, _ in getattr(node.grad_fn, "next_functions", ())]
    if isinstance(node.module, NORMS) or depthwise(node.module):
        return sources[0] is None
    return node.type in (OPTYPE.ELEMENTWISE, OPTYPE.CONCAT) and None in sources
