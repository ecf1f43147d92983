"""Accuracy: the share of examples that are given their true class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdbench.metrics.bases import Mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Accuracy(Mean):
    """The share of examples whose highest output is that of their true class."""

    label = "accuracy"
    counted = True

    def each(self, outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
        """Whether the class is right, (n,)."""
        right: NDArray[Any] = outputs == targets
        return right
