"""Taking modules out of a list of modules, and comparing the result with the network that passes them by."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from torch import Tensor, nn

from kdbench.protocols import Batch
from kdbench.techniques.surgery_check import answers, check_inputs, check_same


def drop(model: nn.Module, paths: Sequence[str], kept: Sequence[str], batches: Iterable[Batch]) -> None:
    """Take the blocks out that are not kept, in place. paths: all blocks, in one nn.ModuleList.

    Raises TechniqueError where the network then answers otherwise than with those blocks passing on their input.
    """
    inputs = check_inputs(batches)
    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for path in set(paths) - set(kept):
            hook = modules[path].register_forward_hook(lambda _, inputs, output: inputs[0])
            stack.callback(hook.remove)
        expected = answers(model, inputs)
    container = modules[paths[0].rpartition(".")[0]]
    assert isinstance(container, nn.ModuleList), "refused before"
    left = [modules[path] for path in kept]
    del container[len(left) :]
    for number, module in enumerate(left):
        container[number] = module
    check_same(
        expected, answers(model, inputs), "the network without blocks must answer as the one that passes them by"
    )


def shorten(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Leave in each list of modules as many as `state` has tensors of."""
    for path, module in list(network.named_modules()):
        if not isinstance(module, nn.ModuleList):
            continue
        prefix = f"{path}." if path else ""
        numbers = {name.removeprefix(prefix).partition(".")[0] for name in state if name.startswith(prefix)}
        own = {str(number) for number in range(len(module)) if list(module[number].parameters())}
        if numbers & own and own - numbers:
            del module[1 + max(int(number) for number in numbers & own) :]
