"""Taking channels out of a network: its state dict loses indices, its layers follow. Knows no criterion."""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning._coupling import Coupled, Member
from kdbench.techniques.surgery import fit_shapes


def cut(model: nn.Module, gone: Iterable[tuple[Coupled, Tensor]]) -> None:
    """Take channels (indices into their set) out of `model`, in place.

    It is re-sized by shapes alone, so it is known to come back from its state dict. Modes, hooks and `requires_grad`
    stay as they are. Raises TechniqueError where a layer cannot be re-sized.
    """
    state = model.state_dict()
    dropped: dict[tuple[str, int], set[int]] = {}
    for channels, chosen in gone:
        for member in channels.members:
            places = member.places[torch.isin(member.channels, chosen)].tolist()
            for tensor, dim in _tensors(member):
                dropped.setdefault((tensor, dim), set()).update(places)
    for (tensor, dim), lost in dropped.items():
        whole = state[tensor]
        kept = [place for place in range(whole.shape[dim]) if place not in lost]
        state[tensor] = whole.index_select(dim, torch.tensor(kept, device=whole.device))
    fit_shapes(model, state)
    model.load_state_dict(state)


def _tensors(member: Member) -> Iterator[tuple[str, int]]:
    """(name in the state dict, dimension) of what a member's channels run along.

    The second dimension of a grouped convolution's weight holds one group's inputs, and every group loses the same.
    """
    if member.side == "loose":
        yield member.name, member.dim
    elif member.side == "in":
        yield f"{member.name}.weight", 1
    else:
        own = [*member.layer.named_parameters(recurse=False), *member.layer.named_buffers(recurse=False)]
        yield from ((f"{member.name}.{name}", 0) for name, tensor in own if tensor.dim() > 0)


def check_runs(model: nn.Module, example: tuple[Tensor, ...], class_count: int) -> None:
    """Raises TechniqueError where a network that lost channels cannot run, or gives something else than logits."""
    try:
        with torch.no_grad():
            shape = copy.deepcopy(model).eval()(*example).shape[1:]
    except RuntimeError as error:
        raise TechniqueError(
            f"the model cannot run without the channels that were taken ({str(error).splitlines()[0]}); name the "
            "layers whose widths its code relies on in 'keep'."
        ) from error
    if shape != (class_count,):
        raise TechniqueError(f"pruning changed the model's outputs to {tuple(shape)}; {class_count} were expected.")
