"""Accuracy: the share of examples that are given their true class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdbench.protocols.metric import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Accuracy(Metric):
    """The share of examples whose highest output is that of their true class."""

    counted = True

    def value(self, outputs: NDArray[np.int32], targets: NDArray[np.int32]) -> float:
        """A rate, 0 to 1."""
        return float((outputs == targets).mean())

    def pseudo_values(self, outputs: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
        """1 where the class is right, else 0."""
        import numpy as np

        return np.asarray(outputs == targets, np.float64)
