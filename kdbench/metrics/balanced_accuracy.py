"""Balanced accuracy: the mean over classes of the share of each that is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Influenced
from kdbench.metrics.by_class import counts_of, rare

if TYPE_CHECKING:
    from numpy.typing import NDArray


class BalancedAccuracy(Influenced):
    """The mean over classes of the share of its examples that are given it. Classes that no target has are left out."""

    label = "balanced accuracy"

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or 10 of the rarest class."""
        return super().few(targets) or rare(self.output, counts_of(self.output, targets), len(targets))

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        from sklearn.metrics import recall_score

        return float(recall_score(targets, outputs, labels=np.unique(targets), average="macro", zero_division=0))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """n / (n of the class) x (right - the class's recall) / K."""
        counts = np.bincount(targets)
        right = (outputs == targets).astype(float)
        recall = np.bincount(targets, right) / np.maximum(counts, 1)
        return np.asarray(len(targets) / counts[targets] * (right - recall[targets]) / (counts > 0).sum(), np.float64)
