"""The log of an epoch's loss terms, which the loop keeps on their device."""

import math

import torch
from torch import Tensor

from kdbench.errors import TrainingError

READ_EVERY = 64
"""Steps after which the loop reads its losses: a loss that is no number stops it soon, and it waits for few of them."""


class TermLog:
    """The terms of an epoch's losses, read now and then: reading one waits until the device has computed it."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._sums: dict[str, float] = {}
        self._examples = self._steps = 0
        """Sums over the steps that were read."""
        self._unread: list[tuple[int, list[str], Tensor]] = []

    def note(self, example_count: int, names: list[str], values: Tensor) -> None:
        """Keep a step's terms. Raises TrainingError where one that is read is not finite."""
        self._unread.append((example_count, names, values))
        if len(self._unread) == READ_EVERY:
            self._read()

    def means(self) -> dict[str, float]:
        """Each term's mean over the examples. Raises TrainingError where one is not finite."""
        self._read()
        return {name: total / self._examples for name, total in self._sums.items()}

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        read = iter(torch.cat([values for _, _, values in unread]).tolist() if unread else [])
        for count, names, _ in unread:
            self._steps += 1
            values = {name: next(read) for name in names}
            if not math.isfinite(sum(values.values())):
                terms = ", ".join(f"{name} = {value:g}" for name, value in values.items())
                raise TrainingError(f"the loss is not finite in epoch {self._epoch + 1}, step {self._steps}: {terms}.")
            self._examples += count
            self._sums = {name: self._sums.get(name, 0.0) + value * count for name, value in values.items()}
