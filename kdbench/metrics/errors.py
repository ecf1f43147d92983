"""Metrics of values by their errors: RMSE, MAE, R2. Of D numbers an example the D are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Influenced, Mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RMSE(Influenced):
    """The root of the mean squared error, in the values' own unit."""

    label = "RMSE"
    direction = "lower"
    unit = "value"
    range = (0.0, None)
    kinds = frozenset({"values"})
    tolerance, relative = 0.03, True

    @property
    def unit_name(self) -> str:
        """The values'."""
        return self.output.unit

    def value(self, outputs: Any, targets: Any) -> float:
        """At least 0."""
        return float(np.sqrt(_squares(outputs, targets).mean()))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """(e^2 - V^2) / (2 V); none where every error is 0."""
        squares = _squares(outputs, targets)
        mean = float(squares.mean())
        return np.zeros(len(squares)) if mean == 0 else (squares - mean) / (2 * np.sqrt(mean))


class MAE(Mean):
    """The mean absolute error, in the values' own unit."""

    label = "MAE"
    direction = "lower"
    unit = "value"
    range = (0.0, None)
    kinds = frozenset({"values"})
    tolerance, relative = 0.03, True

    @property
    def unit_name(self) -> str:
        """The values'."""
        return self.output.unit

    def each(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """(n,)."""
        return np.asarray(np.abs(_apart(outputs, targets)).mean(axis=1))


class R2(Influenced):
    """The share of the targets' variance that is explained: 1 - mean squared error / variance."""

    label = "R²"
    unit = "value"
    range = (None, 1.0)
    kinds = frozenset({"values"})
    test_scale = "log_lost"

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where all targets are equal."""
        return "the targets never vary" if (np.ptp(np.asarray(targets), axis=0) == 0).any() else None

    def value(self, outputs: Any, targets: Any) -> float:
        """At most 1."""
        lost, spread, _ = _lost(outputs, targets)
        return float(1 - (lost / spread).mean())

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """(q (y - mean y)^2 - e^2) / var y, where q = mean e^2 / var y."""
        lost, spread, centred = _lost(outputs, targets)
        each = (lost / spread * centred**2 - _apart(outputs, targets) ** 2) / spread
        return np.asarray(each.mean(axis=1), np.float64)


def _apart(outputs: Any, targets: Any) -> NDArray[np.float64]:
    """Errors (n, D)."""
    errors = np.asarray(outputs, np.float64) - np.asarray(targets, np.float64)
    return errors.reshape(len(errors), -1)


def _squares(outputs: Any, targets: Any) -> NDArray[np.float64]:
    """Squared errors (n,)."""
    return np.asarray(np.square(_apart(outputs, targets)).mean(axis=1))


def _lost(outputs: Any, targets: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean squared error (D,), the targets' variance (D,), and the targets less their mean (n, D)."""
    true = np.asarray(targets, np.float64).reshape(len(targets), -1)
    return np.square(_apart(outputs, targets)).mean(axis=0), true.var(axis=0), true - true.mean(axis=0)
