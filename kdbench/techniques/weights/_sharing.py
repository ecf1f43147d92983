"""Weights that share values: which of them do, and that they go on so while a network trains. Knows no technique."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MOST_ROUNDS = 300
"""Most rounds of k-means, which usually stands still after some tens."""


@dataclass(frozen=True)
class Shared:
    """A weight, and for each of its elements the number of the value that it shares; 0 is the value 0."""

    weight: nn.Parameter
    codes: Tensor
    """int64, of the weight's shape."""
    sizes: Tensor
    """Number of elements that share each value, (values + 1,), float64; at least 1."""

    def mean(self, values: Tensor) -> Tensor:
        """`values`, of the weight's shape, each replaced by the mean of all that share with it; 0 where code is 0."""
        sums = torch.zeros_like(self.sizes).index_add_(0, self.codes.flatten(), values.flatten().double())
        means = (sums / self.sizes).to(values.dtype)
        means[0] = 0.0
        return means[self.codes]

    @torch.no_grad()
    def snap(self) -> None:
        """Give every element exactly the mean of those that it shares a value with."""
        self.weight.copy_(self.mean(self.weight))


def shared(weight: nn.Parameter, count: int) -> Shared | None:
    """A weight's elements in at most `count` values, by k-means; None where it has no more already.

    Elements that are 0 stay 0, and 0 is one of the values.
    """
    values = weight.detach().flatten()
    if len(torch.unique(values)) <= count:
        return None
    other = values != 0
    codes = torch.zeros_like(values, dtype=torch.int64)
    codes[other] = 1 + kmeans(values[other], count - int(not bool(other.all())))
    sizes = codes.bincount(minlength=count + 1).clamp_min(1).double()
    return Shared(weight, codes.view(weight.shape), sizes)


def kmeans(values: Tensor, count: int) -> Tensor:
    """For each of some numbers (n,) which of `count` clusters it belongs to, 0 to count - 1 from the smallest up.

    Lloyd's algorithm from centres spread evenly between the extremes (Han et al. 2016, section 3.2: linear), which
    serves the few large weights better than centres where most weights are. A centre that no number is nearest to stays
    without any: there are at most `count` clusters.
    """
    ordered, order = values.double().sort()
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centres = ordered[0] + (ordered[-1] - ordered[0]) * torch.linspace(0, 1, count).to(ordered)
    for _ in range(MOST_ROUNDS):
        between = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        bounds = torch.cat([between.new_zeros(1), between, between.new_full((1,), len(ordered))])
        sizes = bounds.diff()
        moved = torch.where(sizes > 0, sums[bounds].diff() / sizes.clamp_min(1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    codes = torch.empty_like(order)
    codes[order] = torch.repeat_interleave(torch.arange(count, device=order.device), sizes)
    return codes


@contextmanager
def tied(all_shared: Sequence[Shared]) -> Iterator[None]:
    """While the block runs, elements that share a value have one gradient, the mean of theirs, and so move as one."""
    handles = [
        one.weight.register_hook(one.mean)  # type: ignore[no-untyped-call]
        for one in all_shared
        if one.weight.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for one in all_shared:
            one.snap()
