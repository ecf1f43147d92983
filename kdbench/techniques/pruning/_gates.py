"""Importance of heads and units by gates of 1 on them, and cutting them out; knows no technique."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, TaskDescription
from kdbench.techniques.surgery import fit_shapes
from kdbench.techniques.surgery_check import answers, check_inputs, check_same

Readers = Mapping[str, int]
"""Path of the linear layer that reads groups side by side -> numbers a group: head size, or 1 for units."""


def importance(
    model: nn.Module, readers: Readers, batches: Iterable[Batch], task: TaskDescription, samples: int
) -> dict[str, Tensor]:
    """For each reader the mean over the first `samples` examples of |dL / dg|, g a gate of 1 on a group: (groups,).

    L: an example's loss on its labels, in eval mode; the absolute value is taken example by example. The l2 norm within
    a reader is 1, unless all are 0. The model's gradients are left empty.

    Source: Michel et al. 2019, "Are sixteen heads really better than one?", section 4.1, for heads. The derivative by
    the gate of a unit h is sum h dL/dh over its tokens, the first term of Taylor's expansion (Molchanov et al. 2017,
    section 2.2).
    """
    modes = [(module, module.training) for module in model.modules()]
    sums: dict[str, Tensor] = {}
    seen = 0
    model.eval()
    for batch in batches:
        some = batch.part(slice(samples - seen))
        gates = {path: _ones(model, path, size, some) for path, size in readers.items()}
        with torch.enable_grad(), _gated(model, readers, gates):
            outputs = F.outputs_of(model(*some.inputs), model, len(task.outputs))
            loss = torch.stack(list(F.labels_loss(task, some, outputs).values())).sum() * len(some)
        found = torch.autograd.grad(loss, list(gates.values()))
        for path, gradient in zip(gates, found, strict=True):
            sums[path] = sums.get(path, torch.zeros(())) + gradient.abs().sum(0)
        seen += len(some)
        if seen >= samples:
            break
    for module, mode in modes:
        module.training = mode
    return {path: torch.nn.functional.normalize(total / seen, dim=0) for path, total in sums.items()}


def _ones(model: nn.Module, path: str, size: int, batch: Batch) -> Tensor:
    """A gate an example and group, (B, groups)."""
    groups = linear(model, path).in_features // size
    return torch.ones(len(batch), groups, device=batch.index.device, requires_grad=True)


@contextmanager
def _gated(model: nn.Module, readers: Readers, gates: Mapping[str, Tensor]) -> Iterator[None]:
    """While the block runs, what goes into each reader, (B, ..., groups * size), is multiplied by its gates."""

    def hook(gate: Tensor, size: int, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        wide = gate.repeat_interleave(size, -1)
        return (inputs[0] * wide.view(len(gate), *[1] * (inputs[0].dim() - 2), -1), *inputs[1:])

    with ExitStack() as stack:
        for path, size in readers.items():
            module = model.get_submodule(path)
            handle = module.register_forward_pre_hook(lambda _, x, g=gates[path], s=size: hook(g, s, x))
            stack.callback(handle.remove)
        yield


def linear(model: nn.Module, path: str) -> nn.Linear:
    """The linear layer at a path. Raises TechniqueError where another module is there."""
    found = dict(model.named_modules()).get(path)
    if not isinstance(found, nn.Linear):
        raise TechniqueError(f"'{path}' is no linear layer, so nothing can be cut out of what goes into it.")
    return found


def least(scores: Mapping[str, Tensor], fraction: float, overall: bool) -> dict[str, list[int]]:
    """The groups that go from each reader, the least important ones; one of each always stays.

    overall: whether the least of all readers together go; else the same share of each, rounded down.
    """
    order = {path: found.argsort(stable=True).tolist() for path, found in scores.items()}
    if not overall:
        return {path: sorted(found[: min(int(len(found) * fraction), len(found) - 1)]) for path, found in order.items()}
    every = sorted((float(found[group]), path, group) for path, found in scores.items() for group in order[path][:-1])
    count = int(sum(map(len, scores.values())) * fraction)
    return {path: sorted(group for _, its, group in every[:count] if its == path) for path in scores}


def cut_groups(
    model: nn.Module,
    writers: Mapping[str, Sequence[str]],
    readers: Readers,
    gone: Mapping[str, Sequence[int]],
    batches: Iterable[Batch],
) -> None:
    """Take groups out of what each reader reads and its writers (paths of linear layers) write, in place.

    The result is compared with the network in which the groups are silent. Raises TechniqueError where it answers
    otherwise.
    """
    inputs = check_inputs(batches)
    count = len(inputs[0])
    silent = {path: torch.ones(count, linear(model, path).in_features // size) for path, size in readers.items()}
    for path, groups in gone.items():
        silent[path][:, list(groups)] = 0
    device = next(model.parameters()).device
    with _gated(model, readers, {path: gate.to(device) for path, gate in silent.items()}):
        expected = answers(model, inputs)
    state = model.state_dict()
    for path, groups in gone.items():
        width, size = linear(model, path).in_features, readers[path]
        kept = torch.tensor([place for place in range(width) if place // size not in set(groups)], device=device)
        state[f"{path}.weight"] = state[f"{path}.weight"].index_select(1, kept)
        for writer in writers[path]:
            for name in (f"{writer}.weight", f"{writer}.bias"):
                if name in state:
                    state[name] = state[name].index_select(0, kept)
    fit_shapes(model, state)
    model.load_state_dict(state)
    check_same(
        expected, answers(model, inputs), "the network without them must answer as the one where they are silent"
    )
