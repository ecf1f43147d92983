"""Taking channels out of a network, and checking the result. Knows no criterion."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning._coupling import Coupled, Member, Traced
from kdbench.techniques.surgery import fit_shapes
from kdbench.techniques.surgery_check import answers, difference


def cut(model: nn.Module, gone: Iterable[tuple[Coupled, Tensor]]) -> None:
    """Take channels (indices into their set) out of `model`, in place.

    It is re-sized by shapes alone, so it is known to come back from its state dict. Modes, hooks and `requires_grad`
    stay as they are. Raises TechniqueError where a layer cannot be re-sized.
    """
    state = model.state_dict()
    twins: dict[int, list[str]] = {}  # a layer under two names has its tensors under both
    for name, tensor in state.items():
        twins.setdefault(tensor.data_ptr(), []).append(name)
    dropped: dict[tuple[str, int], set[int]] = {}
    for channels, chosen in gone:
        for member in channels.members:
            places = member.places[torch.isin(member.channels, chosen)].tolist()
            for name, dim in _tensors(member):
                for twin in twins[state[name].data_ptr()]:
                    dropped.setdefault((twin, dim), set()).update(places)
    for (name, dim), lost in dropped.items():
        whole = state[name]
        kept = [place for place in range(whole.shape[dim]) if place not in lost]
        state[name] = whole.index_select(dim, torch.tensor(kept, device=whole.device))
    fit_shapes(model, state)
    model.load_state_dict(state)


def _tensors(member: Member) -> Iterator[tuple[str, int]]:
    """(name in the state dict, dimension) of each tensor along which a member's channels run.

    The second dimension of a grouped convolution's weight holds one group's inputs, and every group loses the same.
    """
    if member.side == "loose":
        yield member.name, member.dim
    elif member.side == "in":
        yield f"{member.name}.weight", 1
    else:
        own = [*member.layer.named_parameters(recurse=False), *member.layer.named_buffers(recurse=False)]
        yield from ((f"{member.name}.{name}", 0) for name, tensor in own if tensor.dim() > 0)


def check_cut(
    pruned: nn.Module, traced: Traced, gone: Sequence[tuple[Coupled, Tensor]], inputs: tuple[Tensor, ...]
) -> None:
    """Compare a network that lost channels with the whole one in which no layer reads those channels.

    traced: the whole network as it was traced; gone: what was cut. Raises TechniqueError where the smaller network
    cannot run, gives outputs of another shape, or answers otherwise: then other channels were taken than was meant.
    """
    try:
        got = answers(pruned, inputs)
    except RuntimeError as error:
        raise TechniqueError(
            f"the model cannot run without the channels that were taken ({str(error).splitlines()[0]}); name the "
            "layers whose widths its code relies on in 'keep'."
        ) from error
    expected = answers(silenced(traced.model, gone, pruned), inputs)
    changed = [(one, other) for one, other in zip(got, expected, strict=True) if one.shape != other.shape]
    if changed:
        now, before = (tuple(one.shape[1:]) for one in changed[0])
        raise TechniqueError(f"pruning changed the model's outputs to {now}; {before} were expected.")
    if difference(expected, got):
        wrong = [channels.name for channels, chosen in gone if _mixed(traced.model, channels, chosen, inputs)]
        raise TechniqueError(
            "without the channels that were taken the model does not answer as with the same channels silenced: "
            f"what it does with those of {', '.join(wrong) or 'several layers'} cannot be followed; name "
            f"{'that layer' if len(wrong) == 1 else 'these layers'} in 'keep'."
        )


def _mixed(whole: nn.Module, channels: Coupled, chosen: Tensor, inputs: tuple[Tensor, ...]) -> bool:
    """Whether a network answers differently without these channels than with them silenced."""
    pruned = copy.deepcopy(whole)
    try:
        cut(pruned, [(channels, chosen)])
        return bool(difference(answers(silenced(whole, [(channels, chosen)], pruned), inputs), answers(pruned, inputs)))
    except (RuntimeError, TechniqueError):
        return True


@torch.no_grad()
def silenced(whole: nn.Module, gone: Iterable[tuple[Coupled, Tensor]], pruned: nn.Module) -> nn.Module:
    """A copy of the whole network in which no layer reads the channels that are gone.

    The layers that read them read zeros; normalisations over several channels take those that stayed, as in `pruned`.
    """
    silent = copy.deepcopy(whole)
    for channels, chosen in gone:
        for member in channels.members:
            places = member.places[torch.isin(member.channels, chosen)]
            if member.side == "in":
                weight: Any = silent.get_submodule(member.name).weight
                weight[:, places[places < weight.shape[1]]] = 0
            elif isinstance(member.layer, nn.LayerNorm | nn.GroupNorm):
                stayed = torch.ones(member.layer.weight.shape[0], dtype=torch.bool)
                stayed[places] = False
                norm = copy.deepcopy(pruned.get_submodule(member.name))
                silent.set_submodule(member.name, _NormOfSome(norm, stayed))
    return silent


class _NormOfSome(nn.Module):
    """A normalisation over the channels that stayed; the others become zero."""

    def __init__(self, norm: nn.Module, stayed: Tensor) -> None:
        super().__init__()
        self.norm = norm
        self.axis = -1 if isinstance(norm, nn.LayerNorm) else 1
        self.places = stayed.nonzero()[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        places = self.places.to(x.device)
        return torch.zeros_like(x).index_copy(self.axis, places, self.norm(x.index_select(self.axis, places)))
