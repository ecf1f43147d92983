"""Metrics of an order: the area under the ROC curve and average precision, of labels or of classes one by one.

Sources
DeLong, DeLong, Clarke-Pearson 1988: the components of the area, which are its influence function.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kdbench.metrics.bases import Influenced
from kdbench.metrics.by_class import FEWEST_OF_A_CLASS, class_name, counts_of, rare

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Ranked(Influenced):
    """The mean over labels (classes one against the rest) of how well scores tell examples with it from those without.

    Of two classes only the second is asked.
    """

    needs = "outputs"
    lone_scale = "logit"
    fewest_of_a_label: ClassVar[int] = FEWEST_OF_A_CLASS
    """With fewer examples of its rarest label the value has no interval."""

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or too few of the rarest label."""
        counts = counts_of(self.output, targets)
        return super().few(targets) or rare(self.output, counts, len(targets), self.fewest_of_a_label)

    @abstractmethod
    def _one(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        """The value of one label."""

    @abstractmethod
    def _influence(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,), of one label."""

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        return float(np.mean([self._one(true, scores) for true, scores in self._labels(outputs, targets)]))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """The mean of the labels' influences."""
        each = [self._influence(true, scores) for true, scores in self._labels(outputs, targets)]
        return np.asarray(np.mean(each, axis=0), np.float64)

    def _labels(self, outputs: Any, targets: Any) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        """Truth and scores (n,) of each label that a target has."""
        scores = np.asarray(outputs, np.float64)
        if self.output.kind == "multilabel":
            for place in np.flatnonzero(np.any(targets, axis=0)):
                yield targets[:, place] == 1, scores[:, place]
        elif scores.shape[1] == 2:
            yield targets == 1, scores[:, 1] - scores[:, 0]
        else:
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            for place in np.unique(targets):
                yield targets == place, shares[:, place]


class AUC(_Ranked):
    """The area under the ROC curve: how often an example of the class scores above one of another, ties counting half.

    Of more than two classes the mean over classes, each against the rest, by softmax.
    """

    label = "AUC"

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where all examples have the same class."""
        present = np.unique(targets)
        if len(present) > 1:
            return None
        return f"every example has {class_name(self.output, int(present[0]))}"

    def _one(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(true, scores))

    def _influence(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """n/P x (share of negatives below - V) for a positive, n/N x (share of positives above - V) for a negative."""
        positive, negative = np.sort(scores[true]), np.sort(scores[~true])
        below, above = _share_below(negative, scores), 1 - _share_below(positive, scores)
        value, count = float(below[true].mean()), len(scores)
        found = np.where(true, count / len(positive) * (below - value), count / len(negative) * (above - value))
        return np.asarray(found, np.float64)


class AveragePrecision(_Ranked):
    """The mean over labels of average precision: the mean over a label's examples of the share of examples scored as
    high or higher that have it too."""

    label = "average precision"
    kinds = frozenset({"multilabel"})
    fewest_of_a_label = 20
    """Over 10 examples of each label two alike cases are told apart in up to 9 of 100 tables, over 20 in 6."""

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a single true label."""
        return None if np.any(targets) else "no example has a label"

    def _one(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(true, scores))

    def _influence(self, true: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """An example moves its own precision and that of every positive ranked below it; equal scores have one rank."""
        order = np.argsort(-scores, kind="stable")
        ranked, hit = -scores[order], true[order].astype(float)
        last = np.searchsorted(ranked, ranked, "right") - 1
        first = np.searchsorted(ranked, ranked, "left")
        tp, fp = np.cumsum(hit)[last], np.cumsum(1 - hit)[last]
        rank, positives = tp + fp, hit.sum()
        value = float((hit * tp / rank).sum() / positives)
        up, down = (np.cumsum((hit * x / rank**2)[::-1])[::-1][first] for x in (fp, tp))
        count = len(scores)
        part = np.where(hit > 0, tp / rank - value + up, -down) * count / positives
        found = np.empty(count)
        found[order] = part
        return found


def _share_below(ranked: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): the share of ranked values that lie below a score, plus half of those equal to it."""
    both = np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")
    return np.asarray(both / (2 * len(ranked)))
