"""Metrics of a class at each place of an image: mean intersection over union, and the share of right places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Influenced, OfSums
from kdbench.metrics.by_class import counts_of, rare

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MeanIoU(Influenced):
    """The mean over classes of intersection over union, both summed over all images. Places with the ignored target
    count nowhere, classes that no image has are left out."""

    label = "mean IoU"
    kinds = frozenset({"dense_classes"})

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a place that counts."""
        return None if counts_of(self.output, targets).any() else "no place has a class"

    def few(self, targets: Any) -> str | None:
        """Below 20 images, or 10 that have the rarest class."""
        return super().few(targets) or rare(self.output, counts_of(self.output, targets), len(targets))

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        both, either = (one.sum(axis=0) for one in self._parts(outputs, targets))
        return float((both / either).mean())

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """The mean over classes of (a - V b) / (mean b)."""
        both, either = self._parts(outputs, targets)
        value = both.sum(axis=0) / either.sum(axis=0)
        return np.asarray(((both - value * either) / either.mean(axis=0)).mean(axis=1), np.float64)

    def _parts(self, outputs: Any, targets: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Intersections and unions (n, classes that a target has)."""
        most = max(max(int(np.max(row)) for row in rows) for rows in (outputs, targets)) + 1
        tables = []
        for answered, true in zip(outputs, targets, strict=True):
            kept = _counts(true, self.output.ignore)
            tables.append([np.bincount(x, minlength=most) for x in _places(answered[kept], true[kept])])
        both, answered_count, true_count = np.moveaxis(np.array(tables, np.float64), 1, 0)
        present = true_count.any(axis=0)
        return both[:, present], (answered_count + true_count - both)[:, present]


class PixelAccuracy(OfSums):
    """The share of all images' places that are given their true class; places with the ignored target do not count."""

    label = "pixel accuracy"
    kinds = frozenset({"dense_classes"})

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a place that counts."""
        return None if any(_counts(true, self.output.ignore).any() for true in targets) else "no place has a class"

    def parts(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Right places, places."""
        kept = [_counts(true, self.output.ignore) for true in targets]
        return np.array(
            [[(a == t)[k].sum(), k.sum()] for a, t, k in zip(outputs, targets, kept, strict=True)], np.float64
        )

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        return sums[..., 0] / np.maximum(sums[..., 1], 1.0)


def _counts(true: Any, ignore: int | None) -> NDArray[np.bool_]:
    """Where a target counts."""
    return np.ones(np.shape(true), np.bool_) if ignore is None else np.asarray(true != ignore)


def _places(answered: Any, true: Any) -> tuple[Any, Any, Any]:
    """Classes at the places where both agree, of all answers, of all targets."""
    return true[answered == true], answered, true
