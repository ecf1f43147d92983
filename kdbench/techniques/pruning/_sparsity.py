"""Choosing the weights that become zero, and holding them at zero in training. Knows no technique."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdbench.streams import torch_seed

Score = Callable[[Tensor], Tensor]
"""From a weight to a number for each element: the smallest go first. 0 for elements that are zero already."""


def score(criterion: str, seed: int) -> Score:
    """`magnitude` is |w|; `random` is drawn from the seed."""
    if criterion == "magnitude":
        return lambda weight: weight.detach().abs()
    generator = torch.Generator().manual_seed(torch_seed("weights at random", seed))
    return lambda weight: (1 + torch.rand(weight.shape, generator=generator)).to(weight.device) * (weight != 0)


@dataclass(frozen=True)
class Ranking:
    """Weights that are ranked together, until `target` of their elements are zero; `before` were at the beginning."""

    weights: tuple[nn.Parameter, ...]
    before: int
    target: int

    def zeros(self, progress: float, score: Score) -> list[Tensor]:
        """For each weight a mask of its zeros, at a progress (0-1) from `before` to `target`."""
        scores = torch.cat([score(weight).flatten() for weight in self.weights])
        count = round(self.before + max(0, self.target - self.before) * progress)
        flat = _lowest(scores[None], count)[0] | (scores == 0)
        parts = flat.split([weight.numel() for weight in self.weights])  # type: ignore[no-untyped-call]
        return [part.view(weight.shape) for part, weight in zip(parts, self.weights, strict=True)]


@dataclass(frozen=True)
class Groups:
    """A weight of which in the end at most `kept` of every `size` consecutive elements along axis 1 are not zero."""

    weights: tuple[nn.Parameter]
    kept: int
    size: int

    def zeros(self, progress: float, score: Score) -> list[Tensor]:
        """A mask of the elements that are zero at a progress (0-1) from none to the whole pattern."""
        last = score(self.weights[0]).movedim(1, -1)
        rows = last.reshape(-1, self.size)
        chosen = _lowest(rows, round((self.size - self.kept) * progress)) | (rows == 0)
        return [chosen.view(last.shape).movedim(-1, 1)]

    def changes(self) -> bool:
        """Whether the weight breaks the pattern now."""
        rows = (self.weights[0] != 0).movedim(1, -1).reshape(-1, self.size)
        return bool((rows.sum(1) > self.kept).any())


def _lowest(scores: Tensor, count: int) -> Tensor:
    """A mask of the `count` smallest scores in each row; scores: (rows, n)."""
    chosen = scores.topk(count, dim=1, largest=False).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, chosen, True)


def ranking(weights: Sequence[nn.Parameter], fraction: float) -> Ranking:
    """A ranking until round(fraction * N) of the N elements are zero."""
    before = sum(int((weight == 0).sum()) for weight in weights)
    return Ranking(tuple(weights), before, round(fraction * sum(weight.numel() for weight in weights)))


Zeros = dict[nn.Parameter, Tensor]


@torch.no_grad()
def erase(zeros: Zeros) -> None:
    """Set elements to 0.0 and never to -0.0, so that every zero has the same bits, which gzip finds."""
    for weight, places in zeros.items():
        weight.masked_fill_(places, 0.0)


@contextmanager
def held(zeros: Zeros) -> Iterator[None]:
    """While the block runs these elements have no gradient, so that SGD and AdamW, which start at 0, leave them 0."""
    handles = [
        weight.register_hook(lambda gradient, places=places: gradient.masked_fill(places, 0.0))  # type: ignore[no-untyped-call]
        for weight, places in zeros.items()
        if weight.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
