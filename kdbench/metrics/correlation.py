"""Correlations of values with their targets, by value and by rank. Of D numbers an example the D are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Influenced

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Pearson(Influenced):
    """Pearson's correlation of answers and targets."""

    label = "Pearson's r"
    unit = "value"
    range = (-1.0, 1.0)
    kinds = frozenset({"values"})
    test_scale = "fisher"

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where targets or answers never vary."""
        for what, rows in (("targets", targets), ("answers", outputs)):
            if (np.ptp(_columns(rows), axis=0) == 0).any():
                return f"the {what} never vary"
        return None

    def value(self, outputs: Any, targets: Any) -> float:
        """-1 to 1."""
        return float(np.mean([_pearson(*pair)[0] for pair in _pairs(outputs, targets)]))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """f g - r (f^2 + g^2) / 2 of standardized answers and targets."""
        return np.asarray(np.mean([_pearson(*pair)[1] for pair in _pairs(outputs, targets)], axis=0), np.float64)


class Spearman(Pearson):
    """Spearman's rank correlation of answers and targets; equal ones share the mean of their ranks."""

    label = "Spearman's ρ"

    def value(self, outputs: Any, targets: Any) -> float:
        """-1 to 1."""
        return float(np.mean([_pearson(_ranks(a), _ranks(b))[0] for a, b in _pairs(outputs, targets)]))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """Pearson's of the ranks, and what an example does to the ranks of those above it."""
        return np.asarray(np.mean([_spearman(*pair) for pair in _pairs(outputs, targets)], axis=0), np.float64)


def _columns(rows: Any) -> NDArray[np.float64]:
    return np.asarray(rows, np.float64).reshape(len(rows), -1)


def _pairs(outputs: Any, targets: Any) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return list(zip(_columns(outputs).T, _columns(targets).T, strict=True))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / values.std())


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """r and each example's influence on it."""
    f, g = _standard(one), _standard(other)
    r = float((f * g).mean())
    return r, f * g - r * (f * f + g * g) / 2


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): the share of examples below each, plus half of those equal to it."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - counts / 2)[place] / len(values))


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Influences (n,) on the correlation of mid-ranks F and G, as shares of n.

    r = mean f g / (s t), with f = F - 1/2, s and t the spreads of F and G. An example changes r directly and through
    F(y) = the share of examples below y plus half of those equal to it.
    """
    f, g = (_ranks(values) - 0.5 for values in (one, other))
    s, t = f.std(), g.std()
    r = float((f * g).mean() / (s * t))
    direct = f * g / (s * t) - r * (f * f / s**2 + g * g / t**2) / 2
    through = _moved(one, g / (s * t) - r * f / s**2) + _moved(other, f / (s * t) - r * g / t**2)
    found = direct + through
    return np.asarray(found - found.mean())


def _moved(values: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): the mean over examples of `by` where they lie above a value, plus half where they equal it."""
    order = np.argsort(values, kind="stable")
    ranked, tail = values[order], np.append(np.cumsum(by[order][::-1])[::-1], 0.0)
    sides = (tail[np.searchsorted(ranked, values, side)] for side in ("left", "right"))
    return np.asarray(sum(sides) / (2 * len(values)))
