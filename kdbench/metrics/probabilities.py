"""Metrics of the probabilities that outputs stand for: log loss, calibration error; and the top five."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Mean
from kdbench.protocols.metric import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 1e-7
"""Probabilities are clipped to it: else one example that is surely wrong makes the loss infinite."""
BINS = 15
"""Guo et al. 2017, section 2."""


class LogLoss(Mean):
    """The mean over examples of minus the logarithm of the true class's probability (softmax, at least 1e-7)."""

    label = "log loss"
    direction = "lower"
    unit = "value"
    range = (0.0, None)
    needs = "outputs"
    tolerance, relative, test_scale = 0.03, True, "identity"

    def each(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Nats, (n,)."""
        shares = _softmax(outputs)
        return np.asarray(-np.log(np.clip(shares[np.arange(len(shares)), targets], LEAST, 1.0)))


class Top5(Mean):
    """The share of examples whose true class is among those with the five highest outputs."""

    label = "top-5 accuracy"
    needs = "outputs"
    counted = True

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """With five classes or fewer, of which every one is among the five."""
        count = np.shape(outputs)[1]
        return f"there are {count} classes, and any is among the five highest" if count <= 5 else None

    def each(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Whether fewer than five outputs are higher than the true class's; of equal ones the first classes count."""
        scores = np.asarray(outputs)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        return np.asarray((best == np.asarray(targets)[:, None]).any(axis=1))


class CalibrationError(Metric):
    """How far confidence is from accuracy: over 15 bins of the highest probability, the mean of the gap between both
    (expected calibration error, Guo et al. 2017, section 2).

    Chance alone makes every gap positive, and two perfectly calibrated files are told apart by how sure they are: so
    it is shown, and never tested.
    """

    label = "calibration error"
    paper = "Guo et al. 2017, section 2"
    direction = "lower"
    needs = "outputs"
    tested = False

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        shares = _softmax(outputs)
        sure, right = shares.max(axis=1), shares.argmax(axis=1) == targets
        place = np.minimum(np.ceil(sure * BINS).astype(int) - 1, BINS - 1)
        gaps = np.bincount(place, right.astype(float) - sure, minlength=BINS)
        return float(np.abs(gaps).sum() / len(sure))


def _softmax(outputs: Any) -> NDArray[np.float64]:
    scores = np.asarray(outputs, np.float64)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
