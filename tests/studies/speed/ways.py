"""Ways to make a plain training's steps: of one network, and of several seeds of one architecture."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kdbench.protocols import Batch, TaskDescription
from kdbench.protocols.recipe import Recipe
from kdbench.training import Examples, Training, computing_in
from kdbench.training.layout import pooled_gradients_laid_out

SEEDS = 4
COMPARED = 4
"""Steps after which weights are compared; a CUDA graph takes three of them before it is captured."""
State = dict[str, Tensor]
"""Weights and statistics by name, as they are at one time."""


@dataclass(frozen=True)
class Case:
    """Networks of one architecture, a seed each, with the batch that each is shown."""

    networks: list[nn.Module]
    batches: list[Batch]
    task: TaskDescription
    recipe: Recipe

    def copy(self) -> "Case":
        """The same once more, to be trained by itself."""
        return replace(self, networks=deepcopy(self.networks))

    def training(self, seed: int) -> Training:
        """The loop's own training of one of them."""
        nothing = Examples(train=lambda epoch: iter(()), validation=None, train_count=len(self.batches[seed]))
        training = Training(self.networks[seed].train(), self.recipe, self.task, nothing)
        training._set_rate(0)
        return training


@dataclass(frozen=True)
class Running:
    """A way at work: a step of all its seeds, and each one's tensors as they are now."""

    step: Callable[[], object]
    states: Callable[[], list[State]]
    taken: int = 0
    """Steps that it took to start."""


@dataclass(frozen=True)
class Way:
    """A way to step, what it needs of a machine, and how many seeds it steps."""

    name: str
    start: Callable[[Case], Running]
    lacks: Callable[[], str | None] = lambda: None
    """Why this machine cannot run it."""
    seeds: int = 1


def state(network: nn.Module) -> State:
    """A copy of a network's tensors."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _running(case: Case, seeds: int, step: Callable[[], object], taken: int = 0) -> Running:
    return Running(step, lambda: [state(network) for network in case.networks[:seeds]], taken)


def eager(case: Case) -> Running:
    """The loop as it is."""
    training, batch = case.training(0), case.batches[0]
    return _running(case, 1, lambda: _laid_out(training, batch))


def _laid_out(training: Training, batch: Batch) -> None:
    with pooled_gradients_laid_out(training.model):
        training._step(batch)


def compiled(case: Case) -> Running:
    """The network's passes, forward and back, compiled; the loop is as it is."""
    torch._dynamo.reset()
    training, batch = case.training(0), case.batches[0]
    training.model.compile()
    return _running(case, 1, lambda: training._step(batch))


def graphed(case: Case) -> Running:
    """A whole step, the optimizer's included, captured once and replayed."""
    training, batch = case.training(0), case.batches[0]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(COMPARED - 1):
            training._step(batch)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training._step(batch)
    return _running(case, 1, graph.replay, COMPARED - 1)


def in_turn(case: Case) -> Running:
    """Seeds one after another."""
    trainings = [case.training(seed) for seed in range(SEEDS)]

    def step() -> None:
        for training, batch in zip(trainings, case.batches, strict=True):
            _laid_out(training, batch)

    return _running(case, SEEDS, step)


def in_streams(case: Case) -> Running:
    """Seeds beside each other, each in a stream of its own; their steps are asked for by one thread."""
    trainings = [case.training(seed) for seed in range(SEEDS)]
    streams = [torch.cuda.Stream() for _ in trainings]

    def step() -> None:
        for training, batch, stream in zip(trainings, case.batches, streams, strict=True):
            with torch.cuda.stream(stream):
                training._step(batch)

    return _running(case, SEEDS, step)


def stacked(case: Case) -> Running:
    """One pass of `torch.func.vmap` over the seeds' stacked tensors; BatchNorm's statistics are stacked, too."""
    weights, buffers = torch.func.stack_module_state(case.networks)
    skeleton = deepcopy(case.networks[0]).train()
    inputs = torch.stack([batch.inputs[0] for batch in case.batches])
    targets = torch.stack([batch.targets[0] for batch in case.batches])
    recipe = case.recipe
    optimizer = torch.optim.SGD(
        weights.values(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )

    def loss(weights: State, buffers: State, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(skeleton, (weights, buffers), (images,)).float(), labels)

    def step() -> None:
        with computing_in(recipe.precision, inputs.device):
            losses = torch.func.vmap(loss)(weights, buffers, inputs, targets)
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()

    def states() -> list[State]:
        return [{n: one[seed].detach().clone() for n, one in (weights | buffers).items()} for seed in range(SEEDS)]

    return Running(step, states)


def _no_cuda() -> str | None:
    return None if torch.cuda.is_available() else "no CUDA"


def _no_compiler() -> str | None:
    return None if torch.cuda.is_available() or shutil.which("g++") or shutil.which("clang++") else "no C++ compiler"


WAYS = (
    Way("eager", eager),
    Way("torch.compile", compiled, _no_compiler),
    Way("CUDA graph", graphed, _no_cuda),
    Way(f"{SEEDS} seeds in turn", in_turn, seeds=SEEDS),
    Way(f"{SEEDS} seeds stacked", stacked, seeds=SEEDS),
    Way(f"{SEEDS} seeds in streams", in_streams, _no_cuda, seeds=SEEDS),
)
